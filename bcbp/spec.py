"""A pruning request as one frozen value, JSON both ways."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from bcbp.errors import SpecError
from bcbp.geometry import TILE_ROWS
from bcbp.intake.uploads import is_id

DENSE = "dense"
REDUCTIONS = ("mean", "min", "max")


@dataclass(frozen=True)
class PruneSpec:
    """What to prune and how. Independent choices, each the name of a line in its table.

    `ratio` is the share of weights removed from the prunable layers, in [0, 1). `tile` is V, filters per
    tile; `k_step` is Tk: kept columns per tile come in multiples of it (1 = no alignment). `ratios` fixes
    the ratio of single layers and is kept sorted by name; `exclude` keeps layers dense. `reduction` is how
    BCBP's step 2 joins the ratios of a layer's tiles (mean, min, max). `recovery` is the highest rung of the
    ladder that is tried after pruning. `seed` draws the calibration images, and is that of random choices.
    `budget_ms` is the latency budget at `batch` images, for the allocation that asks for one; the ratio then
    follows. `permute` puts filters that want the same columns into one tile, where the pattern has tiles of
    filters. `masks` is the id of a stored file of masks (see `bcbp.mask_store`), which the plan is then; all
    else is what the file was made by.
    """

    pattern: str = "bcbp"
    ratio: float = 0.5
    tile: int = 32
    criterion: str = "l2"
    allocation: str = "uniform"
    recovery: str = "refit"
    k_step: int = 1
    reduction: str = "mean"
    ratios: tuple[tuple[str, float], ...] = ()
    exclude: tuple[str, ...] = ()
    seed: int = 0
    budget_ms: float | None = None
    batch: int = 1
    permute: bool = False
    masks: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "ratios", tuple(sorted(dict(self.ratios).items())))
        for label, value in (("ratio", self.ratio), *((f"ratio of {n}", r) for n, r in self.ratios)):
            if not isinstance(value, int | float) or not 0 <= value < 1:
                raise SpecError(
                    f"Expected a {label} in [0, 1), the share of weights to remove; got {value!r}."
                )
        budget = self.budget_ms
        if budget is not None and not (isinstance(budget, int | float) and 0 < budget < float("inf")):
            raise SpecError(f"Expected a latency budget in milliseconds above 0; got {budget!r}.")
        if self.batch < 1:
            raise SpecError(f"Expected a batch of at least 1 image; got {self.batch}.")
        if self.tile not in TILE_ROWS:
            choices = ", ".join(map(str, TILE_ROWS))
            raise SpecError(f"Expected a tile of {choices} filters; got {self.tile}.")
        if self.k_step < 1:
            raise SpecError(f"Expected a k_step of at least 1 column; got {self.k_step}.")
        if not isinstance(self.permute, bool):
            raise SpecError(f"Expected permute to be true or false; got {self.permute!r}.")
        if self.masks and not is_id(self.masks):
            raise SpecError(
                f"Expected masks as the id of a stored file, NAME-DIGEST; got {self.masks[:80]!r}."
            )
        if self.reduction not in REDUCTIONS:
            raise SpecError(f"Expected a reduction out of {', '.join(REDUCTIONS)}; got {self.reduction!r}.")

    def for_pattern(self, pattern: str) -> PruneSpec:
        """The same request for another pattern; masks out of a file are of one."""
        return replace(self, pattern=pattern, masks=self.masks if pattern == self.pattern else "")

    def to_json(self) -> dict[str, Any]:
        """Without masks where there are none: exports and checkpoints are named by it, earlier ones, too."""
        values = asdict(self) | {"ratios": dict(self.ratios), "exclude": list(self.exclude)}
        if not self.masks:
            del values["masks"]
        return values

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> PruneSpec:
        """Inverse of `to_json`. Raises SpecError for fields it does not know."""
        unknown = set(data) - {field.name for field in fields(cls)}
        if unknown:
            raise SpecError(f"Unknown field in a pruning spec: {', '.join(sorted(unknown))}.")
        values = dict(data)
        values["ratios"] = tuple(dict(values.get("ratios", {})).items())
        values["exclude"] = tuple(values.get("exclude", ()))
        return cls(**values)
