"""Times single layers in a process of its own: `python -m bcbp.layer_timing`, job in, JSON lines out."""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import torch

from bcbp.devices import DEVICES
from bcbp.fields import read_fields
from bcbp.passport import PATTERN
from bcbp.timing_child import Emit, serve
from kernels.device import environment
from kernels.layers import named
from kernels.layout import ConvGeometry, Pair


@dataclass(frozen=True)
class LayerGroup:
    """One layer at one batch size and tile, and the ratios to time it at."""

    geometry: ConvGeometry
    plane: Pair
    batch: int
    tile: int
    ratios: tuple[float, ...]

    @property
    def name(self) -> str:
        return named(self.geometry, self.plane).name


@dataclass(frozen=True)
class LayerJob:
    """What to time on which line of DEVICES; `threads` are torch's, so that both processes count alike."""

    device: str
    threads: int
    rounds: int
    groups: tuple[LayerGroup, ...]

    def to_json(self) -> dict[str, Any]:
        """As JSON; its tuples become lists there."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> LayerJob:
        """Inverse of `to_json`."""
        return read_fields(cls, data)


def time_layers(job: LayerJob, emit: Emit) -> None:
    """Time every group of the job, telling `emit` what happens as it happens.

    Events: {"event": "started", "environment", "rates"} with the measured ceilings, {"event": "progress",
    "group", "share"}, and {"event": "row", "group", "row"} after each timed candidate.
    """
    torch.set_num_threads(job.threads)
    device = DEVICES[job.device]
    conditions = environment()
    emit({"event": "started", "environment": conditions, "rates": [asdict(rate) for rate in device.rates()]})
    for number, group in enumerate(job.groups):
        rows = device.rows(
            (named(group.geometry, group.plane),),
            ratios=group.ratios,
            batches=(group.batch,),
            tile=group.tile,
            patterns=(PATTERN,),
            rounds=job.rounds,
            progress=partial(_tell, emit, number),
        )
        for row in rows:
            emit({"event": "row", "group": number, "row": row.to_json()})


def _tell(emit: Emit, group: int, share: float, _what: str) -> None:
    emit({"event": "progress", "group": group, "share": share})


def main() -> int:
    """Time the job on stdin."""
    return serve(lambda job, emit: time_layers(LayerJob.from_json(job), emit))


if __name__ == "__main__":
    sys.exit(main())
