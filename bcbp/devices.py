"""The ordered table of devices that can be measured: the engine, the ceilings and the benchmark of each.

A device is one line here. The first that this machine has is the one that pages speak of.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bcbp.passport import Rate
from kernels.bench import LayerRow, layer_rows
from kernels.cpu.ceiling import measure_ceiling
from kernels.engines import engine


@dataclass(frozen=True)
class Device:
    """`rates` measures the ceilings, `rows` the layers (see `kernels.bench.layer_rows`).

    `dtype` is what `rows` computes in, `engine` the line of kernels.engines that runs pruned layers.
    """

    name: str
    engine: str
    dtype: str
    rates: Callable[[], tuple[Rate, ...]]
    rows: Callable[..., Iterator[LayerRow]]

    def missing(self) -> str | None:
        """None if this machine can be measured, else the reason it cannot."""
        return engine(self.engine).available()


def _cpu_rates() -> tuple[Rate, ...]:
    ceiling = measure_ceiling()
    return (
        Rate("float32 peak", ceiling.flops, "FLOP/s"),
        Rate("memory copy", ceiling.bytes, "B/s"),
    )


DEVICES: dict[str, Device] = {
    "cpu": Device("cpu", "cpu-tiles", "float32", _cpu_rates, layer_rows),
}


def present_devices() -> tuple[str, ...]:
    """The devices of the table that this machine has, in its order."""
    return tuple(name for name, device in DEVICES.items() if device.missing() is None)
