"""The ordered table of devices that can be measured: the engine and the benchmark of each.

A device is one line here. The first that this machine has is the one that pages speak of.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from bcbp.passport import Rate
from bcbp.runtime import CPU, GPU
from kernels.bench import BenchJob, DeviceBench, LayerRow, layer_rows
from kernels.cpu.bench import CpuBench
from kernels.engines import engine
from kernels.layers import LayerShape
from kernels.precision import FP16, PRECISIONS
from kernels.roofline import Ceiling


@dataclass(frozen=True)
class Device:
    """`bench` makes the device's side of the layer benchmark.

    `dtype` is what it computes in, `engine` the line of kernels.engines that runs pruned layers.
    """

    name: str
    engine: str
    dtype: str
    bench: Callable[[], DeviceBench]

    def missing(self) -> str | None:
        """None if this machine can be measured, else the reason it cannot."""
        found = engine(self.engine)
        if (reason := found.available()) is not None:
            return reason
        return None if found.speed_claim else f"{found.title} is interpreted here, and its times mean nothing"

    def rates(self) -> tuple[Rate, ...]:
        """The measured ceilings."""
        return rates_of(self.bench().ceiling())

    def rows(
        self,
        shapes: Sequence[LayerShape],
        *,
        ratios: Sequence[float],
        batches: Sequence[int],
        tile: int,
        **options: Any,
    ) -> Iterator[LayerRow]:
        """The rows of every layer, batch size and ratio; `options` are those of kernels.bench.layer_rows."""
        jobs = [
            BenchJob(shape, batch, tile, ratio) for shape, batch, ratio in product(shapes, batches, ratios)
        ]
        for rows in layer_rows(jobs, self.bench(), **options):
            yield from rows


def rates_of(ceiling: Ceiling) -> tuple[Rate, ...]:
    """The rates of a roofline, named."""
    found = [
        Rate(f"{ceiling.precision} peak", ceiling.flops, "FLOP/s"),
        Rate("memory copy", ceiling.bytes, "B/s"),
    ]
    if ceiling.cache_bytes is not None:
        found.append(Rate("second cache", ceiling.cache_bytes, "B/s"))
    return tuple(found)


def gpu_bench(precision: str = FP16.name) -> DeviceBench:
    """The GPU's side of the benchmark, which needs Triton."""
    from kernels.gpu.bench import GpuBench

    return GpuBench(PRECISIONS[precision])


DEVICES: dict[str, Device] = {
    device.name: device
    for device in (
        Device(GPU, "triton", FP16.name, gpu_bench),
        Device(CPU, "cpu-tiles", "float32", CpuBench),
    )
}


def present_devices() -> tuple[str, ...]:
    """The devices of the table that this machine has, in its order."""
    return tuple(name for name, device in DEVICES.items() if device.missing() is None)


def first_device() -> str:
    """The device that choices are made for: the first present one, or the last of the table where none is."""
    return next(iter(present_devices()), list(DEVICES)[-1])
