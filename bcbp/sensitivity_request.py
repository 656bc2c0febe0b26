"""What a sensitivity scan is asked to do, as one frozen value, checked where it enters."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

from bcbp.device_request import RATIOS
from bcbp.errors import SpecError
from bcbp.intake.architectures import check_model
from bcbp.intake.model import LoadedModel
from bcbp.names import check_names
from bcbp.preprocessing import Adjustment
from bcbp.request import check_distinct, check_whole, listed
from bcbp.sensitivity import ScanKey
from bcbp.spec import PruneSpec

# Enough images that half a point of accuracy shows, few enough that a layer takes seconds.
IMAGES, CALIBRATION = 1000, 500


@dataclass(frozen=True)
class SensitivityRequest:
    """Prune every layer of `model` alone by each of `ratios`, and count what it loses on validation images.

    `pattern`, `criterion`, `tile` and `seed` are those of a PruneSpec; `data` and `adjustment`
    are those of a comparison.
    """

    model: str = "sample"
    pattern: str = "bcbp"
    criterion: str = "l2"
    tile: int = 32
    ratios: tuple[float, ...] = RATIOS
    images: int = IMAGES
    seed: int = 0
    data: str | None = None
    adjustment: Adjustment = field(default_factory=Adjustment)

    def __post_init__(self) -> None:
        """Raises SpecError or ModelError for anything that cannot be carried out."""
        check_model(self.model)
        check_distinct("ratios", self.ratios)
        if not self.ratios or not all(isinstance(one, int | float) and 0 < one < 1 for one in self.ratios):
            given = listed(map(str, self.ratios)) or "none"
            raise SpecError(f"Expected ratios between 0 and 1, shares of weights removed; got {given}.")
        check_names(PruneSpec(self.pattern, tile=self.tile, criterion=self.criterion, seed=self.seed))
        check_whole("images", self.images, 1, None)

    @property
    def title(self) -> str:
        """The request in a few words, for lists of runs."""
        return f"sensitivity of {self.model} · {self.pattern} · tile {self.tile}"

    def spec(self, layer: str, ratio: float) -> PruneSpec:
        """Nothing but that layer, pruned by that ratio."""
        return PruneSpec(
            self.pattern,
            tile=self.tile,
            criterion=self.criterion,
            allocation="explicit",
            ratios=((layer, ratio),),
            seed=self.seed,
        )

    def key(self, model: LoadedModel, *, images: int, calibration: int) -> ScanKey:
        """Under which the scan of the loaded model is kept; there may be fewer images than were asked for."""
        return ScanKey(
            model.digest,
            self.pattern,
            self.criterion,
            self.tile,
            images,
            calibration,
            self.seed,
            model.images_digest,
        )

    def to_json(self) -> dict[str, Any]:
        values = {one.name: getattr(self, one.name) for one in fields(self)}
        return values | {"ratios": list(self.ratios), "adjustment": self.adjustment.to_json()}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> SensitivityRequest:
        """Inverse of `to_json`; fields left out keep their default. Raises SpecError for unknown fields."""
        unknown = set(data) - {known.name for known in fields(cls)}
        if unknown:
            raise SpecError(f"Unknown field in a request to scan: {listed(sorted(unknown))}.")
        values = dict(data)
        if "ratios" in values:
            values["ratios"] = tuple(values["ratios"])
        if "adjustment" in values:
            values["adjustment"] = Adjustment.from_json(values["adjustment"])
        return cls(**values)
