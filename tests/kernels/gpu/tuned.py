"""Cards, layers on maps and works, for tests of what decides between launches. Nothing is launched."""

from __future__ import annotations

from dataclasses import replace

import torch

from kernels.engines import Epilogue
from kernels.gpu.card import Card
from kernels.gpu.feature_map import chwn
from kernels.gpu.map_layer import MapLayer, Maps
from kernels.gpu.work import Work, work_of
from kernels.layers import LayerShape, square
from kernels.layout import ConvGeometry, Pair
from kernels.pack import pack
from kernels.precision import FP16, Precision

HOPPER = Card("NVIDIA H200", (9, 0), 132, 232448, 233472, 65536, 2048, 50 << 20)
AMPERE = Card("NVIDIA A100", (8, 0), 108, 166912, 167936, 65536, 2048, 40 << 20)
STAGE3 = square(256, 256, size=14)


def layer_on_maps(
    shape: LayerShape = STAGE3,
    *,
    images: int = 128,
    tile: int = 64,
    ratio: float = 0.75,
    precision: Precision = FP16,
    alike: bool = False,
    residual: bool = False,
    two_of_four: bool = False,
    halo: Pair = (0, 0),
) -> tuple[MapLayer, Maps]:
    """A pruned layer and its maps, which hold no values. `alike` tiles keep the same columns.

    `two_of_four` columns are spread as the sparse tensor cores need them; `halo` is that of what is written.
    """
    g = shape.geometry
    random = torch.Generator().manual_seed(0)
    tiles = -(-g.rows // tile)
    order = torch.rand(1 if alike else tiles, g.columns, generator=random).argsort(1).argsort(1)
    keep = (order < round((1 - ratio) * g.columns)).expand(tiles, -1)
    if two_of_four:
        keep = (torch.arange(g.columns) % 4 < 4 * (1 - ratio)).expand(tiles, -1)
    packed = pack(torch.ones(g.rows, g.columns), keep, torch.ones(g.rows, dtype=torch.bool), tile, g)
    options = {"dtype": precision.dtype, "device": "meta"}
    x = chwn(g.in_channels, shape.plane, images, halo=g.padding, **options)
    output = g.output_size(*shape.plane)
    y, added = (chwn(g.rows, output, images, halo=halo, **options) for _ in range(2))
    return MapLayer(packed, Epilogue(None, "relu"), precision), Maps(x, y, added if residual else None)


def work(shape: LayerShape = STAGE3, **options: object) -> Work:
    return work_of(*layer_on_maps(shape, **options))


def depthwise_shape(channels: int = 64, size: int = 14) -> LayerShape:
    geometry = ConvGeometry(channels, channels, (3, 3), padding=(1, 1), groups=channels)
    return replace(square(channels, channels, size=size), geometry=geometry)
