"""What patterns and allocations get."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from bcbp.geometry import LayerInfo
from bcbp.latency import Decision, decide
from bcbp.measured import NOTHING, Measured
from bcbp.scores import ScoreBook
from bcbp.spec import PruneSpec


@dataclass(frozen=True, eq=False)
class Task:
    """The request, the model's scores, the `layers` in scope, as executed, and what was `measured`."""

    spec: PruneSpec
    book: ScoreBook
    layers: tuple[LayerInfo, ...]
    measured: Measured = NOTHING

    @property
    def fixed(self) -> dict[str, float]:
        """Ratios that a person gave to single layers."""
        return dict(self.spec.ratios)

    @cached_property
    def decision(self) -> Decision:
        """What the latency budget makes of every layer, once for all patterns. Raises SpecError."""
        return decide(self.book, self.layers, spec=self.spec, measured=self.measured)
