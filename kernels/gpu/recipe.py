"""A network as a GPU program reads it: steps in order, over values that flow between them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from kernels.gpu.map_layer import MapLayer
from kernels.gpu.pooling import Pool
from kernels.layout import Pair
from kernels.precision import Precision


@dataclass(frozen=True, eq=False)
class Value:
    """`channels` planes for every image. A `flat` value is one number a channel: [images, channels]."""

    channels: int
    plane: Pair
    flat: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        """What PyTorch sees of one image."""
        return (self.channels,) if self.flat else (self.channels, *self.plane)


@dataclass(frozen=True)
class Flatten:
    """[images, C, H, W] to [images, C * H * W]: no work where the buffer already lies so, else one copy."""


# A layer with what is fused behind it (sources: x and, if it adds one, the residual), pooling, flattening, or
# any other operation, which PyTorch itself runs on NCHW views of its sources.
Operation = MapLayer | Pool | Flatten | Callable[..., Tensor]


@dataclass(frozen=True, eq=False)
class Step:
    """One operation from its sources to its result."""

    name: str
    operation: Operation
    sources: tuple[Value, ...]
    result: Value


@dataclass(frozen=True, eq=False)
class Recipe:
    """The steps of a network in order, from the images `source` to what it gives, `result`."""

    steps: tuple[Step, ...]
    source: Value
    result: Value
    precision: Precision
