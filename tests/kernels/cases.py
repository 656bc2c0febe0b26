"""Layers that every engine is tried on."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from hypothesis import strategies as st
from torch import Tensor

from kernels.engines import ACTIVATIONS, Epilogue
from kernels.layout import ConvGeometry, Pair
from kernels.pack import PackedWeight, pack


@dataclass(frozen=True)
class Case:
    """A layer, its input, and the pattern it is pruned with. `rows` is the share of filters removed."""

    geometry: ConvGeometry
    plane: Pair = (7, 9)
    images: int = 1
    tile: int = 32
    ratio: float = 0.5
    balanced: bool = True
    rows: float = 0.0
    activation: str = "relu"
    bias: bool = True
    residual: bool = False
    permuted: bool = False


def conv(channels: int, filters: int, kernel: Pair = (3, 3), **options: Pair | int) -> ConvGeometry:
    """A convolution that keeps the plane's size unless told otherwise."""
    padding = (kernel[0] // 2, kernel[1] // 2)
    return ConvGeometry(channels, filters, kernel, **{"padding": padding, **options})


CASES = {
    "3x3": Case(conv(64, 64), plane=(16, 30), tile=64),
    "3x3 wide plane": Case(conv(16, 32), plane=(3, 57)),
    "3x3 stride 2": Case(conv(24, 64, stride=(2, 2)), plane=(13, 14), images=2),
    "3x3 small plane": Case(conv(32, 64), plane=(4, 4), images=3, tile=64),
    "3x3 large input": Case(conv(16, 16), plane=(60, 97), images=3, tile=16),
    "3x3 without padding": Case(conv(20, 32, padding=(0, 0))),
    "3x3 one pixel": Case(conv(8, 16), plane=(1, 1)),
    "1x1": Case(conv(64, 128, (1, 1)), images=3, tile=64, ratio=0.75),
    "1x1 stride 2": Case(conv(32, 64, (1, 1), stride=(2, 2)), plane=(8, 7), activation="none"),
    "1x1 padded": Case(conv(8, 16, (1, 1), padding=(1, 1)), plane=(3, 4)),
    "linear": Case(conv(100, 60, (1, 1)), plane=(1, 1), images=5, activation="none"),
    "7x7 stem": Case(conv(3, 64, (7, 7), stride=(2, 2)), plane=(30, 31), tile=64),
    "5x5": Case(conv(6, 20, (5, 5)), tile=8),
    "asymmetric": Case(conv(16, 32, (1, 7)), plane=(5, 17)),
    "dilated": Case(conv(16, 32, padding=(2, 3), dilation=(2, 3)), plane=(11, 12)),
    "grouped": Case(conv(32, 64, groups=4), tile=16, images=2),
    "one channel": Case(conv(1, 64), tile=64, ratio=0.3),
    "tile of 1": Case(conv(8, 5), tile=1),
    "tile of 8": Case(conv(16, 32), tile=8),
    "tile of 16": Case(conv(16, 32), tile=16),
    "tile of 128": Case(conv(16, 256), tile=128, plane=(3, 5)),
    "ragged last tile": Case(conv(16, 70)),
    "odd filters": Case(conv(5, 7), tile=64),
    "one whole tile": Case(conv(12, 100), tile=100, ratio=0.0),
    "unbalanced tiles": Case(conv(16, 128), balanced=False, ratio=0.7),
    "nothing kept": Case(conv(16, 40), ratio=1.0, residual=True),
    "rows removed": Case(conv(16, 128), tile=64, rows=0.3, residual=True),
    "rows removed, ragged": Case(conv(16, 75), tile=32, rows=0.6),
    "all rows removed": Case(conv(16, 40), tile=16, rows=1.0, residual=True),
    "permuted": Case(conv(16, 128), permuted=True),
    "permuted, tiles of 64, residual": Case(conv(16, 192), tile=64, permuted=True, residual=True),
    "permuted, ragged": Case(conv(16, 75), permuted=True, residual=True, activation="relu6", bias=False),
    "permuted, tile of 8": Case(conv(16, 44), tile=8, permuted=True, balanced=False),
    "permuted 1x1": Case(conv(40, 96, (1, 1)), images=3, permuted=True, activation="none", residual=True),
    "permuted, rows removed": Case(conv(16, 75), permuted=True, rows=0.4, residual=True),
    "permuted, nothing kept": Case(conv(16, 40), tile=16, permuted=True, ratio=1.0, residual=True),
    "permuted in groups": Case(conv(32, 128, groups=4), tile=16, permuted=True, images=2),
    "relu6 and residual": Case(conv(16, 32), activation="relu6", residual=True),
    "residual alone": Case(conv(16, 32), activation="none", bias=False, residual=True),
    "relu and residual": Case(conv(64, 64), plane=(8, 8), residual=True, images=2),
}


def make(case: Case, seed: int = 0) -> tuple[PackedWeight, Epilogue, Tensor, Tensor | None]:
    """The case's packed weight, epilogue, input and residual, random but for the seed."""
    random = torch.Generator().manual_seed(seed)
    geometry = case.geometry
    weight = torch.randn(geometry.rows, geometry.columns, generator=random)
    keep = keep_columns(case, random)
    rows = torch.rand(geometry.rows, generator=random) >= case.rows
    bias = torch.randn(geometry.rows, generator=random) if case.bias else None
    x = channels_last(torch.randn(case.images, geometry.in_channels, *case.plane, generator=random))
    residual = None
    if case.residual:
        shape = (case.images, geometry.rows, *geometry.output_size(*case.plane))
        residual = channels_last(torch.randn(shape, generator=random))
    order = order_in_groups(geometry, random) if case.permuted else None
    packed = pack(weight, keep, rows, case.tile, geometry, order=order)
    return packed, Epilogue(bias, case.activation), x, residual


def order_in_groups(geometry: ConvGeometry, random: torch.Generator) -> Tensor:
    """The filters of each group in a random order, int64 [M]."""
    groups = torch.arange(geometry.rows).chunk(geometry.groups)
    return torch.cat([group[torch.randperm(len(group), generator=random)] for group in groups])


def keep_columns(case: Case, random: torch.Generator) -> Tensor:
    """bool [tiles, K]: the same count in every tile, or each column by its own chance."""
    tiles = -(-case.geometry.rows // case.tile)
    chance = torch.rand(tiles, case.geometry.columns, generator=random)
    if not case.balanced:
        return chance >= case.ratio
    return chance.argsort(1).argsort(1) >= round(case.ratio * case.geometry.columns)


def channels_last(tensor: Tensor) -> Tensor:
    return tensor.contiguous(memory_format=torch.channels_last)


@st.composite
def layers(draw: st.DrawFn) -> Case:
    """Any small layer an engine may meet."""
    kernel = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    groups = draw(st.sampled_from((1, 1, 1, 2)))
    tile = draw(st.sampled_from((1, 8, 16, 32, 64, 128)))
    per_group = draw(st.integers(1, 70)) if groups == 1 else tile
    dilation = draw(st.tuples(st.integers(1, 2), st.integers(1, 2)))
    extra = draw(st.tuples(st.integers(0, 12), st.integers(0, 17)))
    geometry = conv(
        groups * draw(st.integers(1, 20)),
        groups * per_group,
        kernel,
        stride=draw(st.tuples(st.integers(1, 3), st.integers(1, 3))),
        padding=draw(st.tuples(st.integers(0, kernel[0]), st.integers(0, kernel[1]))),
        dilation=dilation,
        groups=groups,
    )
    return Case(
        geometry,
        plane=(extra[0] + dilation[0] * (kernel[0] - 1) + 1, extra[1] + dilation[1] * (kernel[1] - 1) + 1),
        images=draw(st.integers(1, 3)),
        tile=tile,
        ratio=draw(st.sampled_from((0.0, 0.3, 0.75, 1.0))),
        balanced=draw(st.booleans()),
        rows=draw(st.sampled_from((0.0, 0.0, 0.4))),
        activation=draw(st.sampled_from(ACTIVATIONS)),
        bias=draw(st.booleans()),
        residual=draw(st.booleans()),
        permuted=draw(st.booleans()),
    )
