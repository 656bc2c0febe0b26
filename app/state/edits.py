"""What a plan follows from: the scope, and the edits beside it. Without Streamlit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from bcbp.allocation.explicit import EXPLICIT
from bcbp.spec import PruneSpec

RATIO_LIMITS = (0.0, 0.95)
STEPS = 200  # a link has ratios in half percents


@dataclass(frozen=True)
class Scope:
    """What every page is about: model, tile (V), ratio (share removed) and the method in focus."""

    model: str
    tile: int
    ratio: float
    method: str


@dataclass(frozen=True)
class Edits:
    """How one model is pruned beyond the scope: preset, criterion, order, locked ratios, layers kept dense.

    `budget_ms` at `batch` images is the target of the preset that has one, remembered under the others; and
    so are the ratios that the explicit preset `began` from, those of the preset before it.
    """

    allocation: str = "uniform"
    criterion: str = PruneSpec().criterion
    budget_ms: float | None = None
    batch: int = 1
    permute: bool = False
    ratios: Mapping[str, float] = field(default_factory=dict)
    exclude: frozenset[str] = frozenset()
    began: Mapping[str, float] = field(default_factory=dict)

    @property
    def own(self) -> dict[str, float]:
        """The ratios of single layers that do not follow the preset."""
        began = self.began if self.allocation == EXPLICIT.name else {}
        return {name: ratio for name, ratio in {**began, **self.ratios}.items() if name not in self.exclude}

    def explicit(self, ratios: Mapping[str, float]) -> Edits:
        """The explicit preset, where layers begin with these `ratios`, to the half percents of a link."""
        low, high = RATIO_LIMITS
        began = {name: round(min(max(ratio, low), high) * STEPS) / STEPS for name, ratio in ratios.items()}
        return replace(self, allocation=EXPLICIT.name, began=began)
