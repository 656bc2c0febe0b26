"""What a measurement of a device is asked to do, as one frozen value, checked where it enters."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from bcbp.devices import DEVICES
from bcbp.errors import SpecError
from bcbp.geometry import TILE_ROWS
from bcbp.intake.architectures import check_model
from bcbp.request import MAX_BATCH, MAX_ROUNDS, check_distinct, check_whole, listed
from kernels.measure import MIN_ROUNDS

RATIOS = (0.25, 0.5, 0.75, 0.9)


@dataclass(frozen=True)
class DeviceRequest:
    """Time the distinct layers of `model` on `device`, pruned by each of `ratios` in tiles of `tile` filters.

    What the device's passport has already is left out, unless it is to be measured `again`.
    """

    model: str = "sample"
    device: str = "cpu"
    tile: int = 32
    ratios: tuple[float, ...] = RATIOS
    batches: tuple[int, ...] = (1, 8)
    rounds: int = 15
    again: bool = False

    def __post_init__(self) -> None:
        """Raises SpecError or ModelError for anything that cannot be carried out."""
        check_model(self.model)
        if self.device not in DEVICES:
            raise SpecError(f"Expected a device out of {listed(DEVICES)}; got {self.device!r}.")
        if self.tile not in TILE_ROWS:
            raise SpecError(f"Expected a tile of {listed(map(str, TILE_ROWS))} filters; got {self.tile}.")
        if not self.ratios or not self.batches:
            raise SpecError("Expected at least one ratio and one batch size; got none.")
        check_distinct("ratios", self.ratios)
        check_distinct("batches", self.batches)
        for ratio in self.ratios:
            if not isinstance(ratio, int | float) or not 0 <= ratio < 1:
                raise SpecError(f"Expected ratios in [0, 1), shares of weights removed; got {ratio!r}.")
        for batch in self.batches:
            check_whole("a batch", batch, 1, MAX_BATCH)
        check_whole("rounds", self.rounds, MIN_ROUNDS, MAX_ROUNDS)

    @property
    def title(self) -> str:
        """The request in a few words, for lists of runs."""
        return f"layers of {self.model} on {self.device} · tile {self.tile}"

    def to_json(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "device": self.device,
            "tile": self.tile,
            "ratios": list(self.ratios),
            "batches": list(self.batches),
            "rounds": self.rounds,
            "again": self.again,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> DeviceRequest:
        """Inverse of `to_json`; fields left out keep their default. Raises SpecError for unknown fields."""
        unknown = set(data) - {known.name for known in fields(cls)}
        if unknown:
            raise SpecError(f"Unknown field in a request to measure: {listed(sorted(unknown))}.")
        values = dict(data)
        for name in ("ratios", "batches"):
            if name in values:
                values[name] = tuple(values[name])
        return cls(**values)
