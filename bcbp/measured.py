"""What was measured of a model, on this machine, that the choice of ratios can go by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bcbp.crossover import WINS, CrossoverMap, Slice
from bcbp.intake.model import LoadedModel
from bcbp.passport import Passport
from bcbp.sensitivity import Scan

SCAN, TIMES = "scan", "times"


@dataclass(frozen=True, eq=False)
class LayerTimes:
    """Milliseconds of every measured layer at one batch size: `dense` at its best, `sparse` by ratio.

    Only ratios at which sparse clearly beats dense are in `sparse`; nothing is interpolated.
    """

    device: str
    dense: Mapping[str, float]
    sparse: Mapping[str, Mapping[float, float]]

    @classmethod
    def of(cls, model: LoadedModel, passport: Passport, chosen: Slice, batch: int) -> LayerTimes:
        """What a passport says of the layers of a model."""
        found, dense, sparse = CrossoverMap(passport, chosen), {}, {}
        for info in model.layers:
            place = (info.geometry, info.plane)
            best = found.dense_ms(place, batch)
            if best is None:
                continue
            spots = {ratio: found.spot(place, batch, ratio) for ratio in found.ratios([place])}
            dense[info.name] = best
            sparse[info.name] = {
                ratio: spot.row.row.median_ms
                for ratio, spot in spots.items()
                if spot.state == WINS and spot.row is not None and spot.row.row.median_ms is not None
            }
        return cls(passport.name, dense, sparse)


@dataclass(frozen=True, eq=False)
class Measured:
    """`scan` and `times` are None where there are none, or where nobody asked for them."""

    scan: Scan | None = None
    times: LayerTimes | None = None


NOTHING = Measured()
