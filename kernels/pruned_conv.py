"""A pruned layer as a module: packed weights in its state_dict, one operator that torch.export and
torch.compile see as a whole.

The operator runs on the engine of the device, or the reference where that declines: `PrunedConv.engine`.
"""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from dataclasses import astuple, dataclass

import torch
from torch import Tensor, nn
from torch.utils.weak import WeakTensorKeyDictionary

from kernels.engines import Epilogue, Operator, decline_reason
from kernels.engines import engine as engine_named
from kernels.flat import FlatWeight
from kernels.layout import ConvGeometry
from kernels.pack import PackedWeight

# The engine of each device; "reference" runs on any and declines nothing.
_ENGINES = {"cpu": ("cpu-tiles",), "cuda": ("triton",)}


@dataclass(frozen=True, eq=False)
class _Ready:
    """A built operator, and what of its layer can change while `values` stays the same tensor."""

    operator: Operator
    version: int
    bias: Tensor | None
    activation: str


# What was built for each `values` tensor, forgotten with it.
_BUILT: MutableMapping[Tensor, _Ready] = WeakTensorKeyDictionary()


def chosen_engine(packed: PackedWeight, activation: str, device: str) -> str:
    """The engine of a device, or the reference for a layer that it declines."""
    names, dtype = (*_ENGINES.get(device, ()), "reference"), packed.tiles[0].values.dtype
    return next(name for name in names if decline_reason(name, packed, dtype, activation) is None)


@torch.library.custom_op("bcbp_kernels::pruned_conv", mutates_args=())
def pruned_conv(
    x: Tensor,
    values: Tensor,
    columns: Tensor,
    rows: Tensor,
    counts: Tensor,
    bias: Tensor | None,
    residual: Tensor | None,
    geometry: Sequence[int],
    tile: int,
    activation: str,
) -> Tensor:
    """activation(W x + bias + residual), W of the parts of a FlatWeight: x [N, C, H, W] to [N, M, Ho, Wo].

    `geometry` is a ConvGeometry as eleven numbers (see `numbers_of`). Output in channels_last.
    """
    ready = _BUILT.get(values)
    now = (0 if values.is_inference() else values._version, bias, activation)
    if ready is None or (ready.version, ready.bias, ready.activation) != now:
        packed = FlatWeight(values, columns, rows, counts).packed(geometry_of(geometry), tile)
        name = chosen_engine(packed, activation, x.device.type)
        ready = _BUILT[values] = _Ready(engine_named(name).build(packed, Epilogue(bias, activation)), *now)
    if residual is not None:
        residual = residual.contiguous(memory_format=torch.channels_last)
    return ready.operator(x.contiguous(memory_format=torch.channels_last), residual)


@pruned_conv.register_fake
def _shape_of_output(
    x: Tensor,
    values: Tensor,
    columns: Tensor,
    rows: Tensor,
    counts: Tensor,
    bias: Tensor | None,
    residual: Tensor | None,
    geometry: Sequence[int],
    tile: int,
    activation: str,
) -> Tensor:
    known = geometry_of(geometry)
    size = known.output_size(x.shape[2], x.shape[3])
    y = x.new_empty((x.shape[0], known.rows, *size))
    return y.contiguous(memory_format=torch.channels_last)


def numbers_of(geometry: ConvGeometry) -> list[int]:
    """A geometry as the numbers that an operator can take."""
    numbers: list[int] = []
    for value in astuple(geometry):
        numbers += value if isinstance(value, tuple) else [value]
    return numbers


def geometry_of(numbers: Sequence[int]) -> ConvGeometry:
    """Inverse of `numbers_of`.

    >>> geometry_of(numbers_of(ConvGeometry(3, 8, (3, 3), padding=(1, 1)))).columns
    27
    """
    (inputs, outputs), pairs, groups = numbers[:2], numbers[2:10], numbers[10]
    kernel, stride, padding, dilation = (tuple(pairs[at : at + 2]) for at in range(0, 8, 2))
    return ConvGeometry(inputs, outputs, kernel, stride, padding, dilation, groups)  # type: ignore[arg-type]


class PrunedConv(nn.Module):
    """A pruned convolution with what is fused behind it: x [N, C, H, W], and a residual, to [N, M, Ho, Wo].

    Made empty from sizes alone, so that a state_dict can be loaded into it; `of` fills one.
    """

    values: Tensor
    columns: Tensor
    rows: Tensor
    counts: Tensor
    bias: Tensor | None

    def __init__(
        self,
        geometry: Sequence[int],
        *,
        tile: int,
        sizes: tuple[int, int, int, int],
        bias: bool,
        activation: str = "none",
    ) -> None:
        """`geometry` as `numbers_of` gives it; `sizes` count values, columns, rows and tiles."""
        super().__init__()
        self.geometry, self.tile, self.activation = list(geometry), tile, activation
        values, columns, rows, tiles = sizes
        self.register_buffer("values", torch.zeros(values))
        self.register_buffer("columns", torch.zeros(columns, dtype=torch.int32))
        self.register_buffer("rows", torch.zeros(rows, dtype=torch.int32))
        self.register_buffer("counts", torch.zeros(tiles, 2, dtype=torch.int32))
        self.register_buffer("bias", torch.zeros(geometry[1]) if bias else None)

    @classmethod
    def of(cls, packed: PackedWeight, epilogue: Epilogue) -> PrunedConv:
        flat = FlatWeight.of(packed)
        sizes = (len(flat.values), len(flat.columns), len(flat.rows), len(flat.counts))
        made = cls(
            numbers_of(packed.geometry),
            tile=packed.tile,
            sizes=sizes,
            bias=epilogue.bias is not None,
            activation=epilogue.activation,
        )
        made.values, made.columns, made.rows, made.counts = flat.values, flat.columns, flat.rows, flat.counts
        made.bias = epilogue.bias
        return made

    @property
    def packed(self) -> PackedWeight:
        flat = FlatWeight(self.values, self.columns, self.rows, self.counts)
        return flat.packed(geometry_of(self.geometry), self.tile)

    @property
    def engine(self) -> str:
        """The engine that runs it on the device it is on."""
        return chosen_engine(self.packed, self.activation, self.values.device.type)

    def forward(self, x: Tensor, residual: Tensor | None = None) -> Tensor:
        return pruned_conv(
            x,
            self.values,
            self.columns,
            self.rows,
            self.counts,
            self.bias,
            residual,
            self.geometry,
            self.tile,
            self.activation,
        )

    def __repr__(self) -> str:
        """What makes it again, empty."""
        sizes = tuple(len(part) for part in (self.values, self.columns, self.rows, self.counts))
        return (
            f"{type(self).__name__}({self.geometry}, tile={self.tile}, sizes={sizes}, "
            f"bias={self.bias is not None}, activation={self.activation!r})"
        )


class PrunedLinear(PrunedConv):
    """A pruned Linear layer, as a 1x1 convolution of 1x1 planes: x [..., K] to [..., M]."""

    def forward(self, x: Tensor, residual: Tensor | None = None) -> Tensor:
        y = super().forward(x.reshape(-1, x.shape[-1], 1, 1), residual)
        return y.reshape(*x.shape[:-1], self.geometry[1])
