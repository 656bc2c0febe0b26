"""Packed weights in the order the micro-kernel reads them: panels of whole vectors of filters.

A panel is `vectors` x `lanes` kept filters of one tile with the tile's kept columns, sorted by tap (r, s,
channel). Weights lie [column][filter], so that one column's weights are consecutive vectors; missing filters
are zero lanes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from kernels.cpu.target import VectorTarget
from kernels.layout import ConvGeometry
from kernels.pack import PackedTile, PackedWeight


@dataclass(frozen=True)
class Panel:
    """One panel: `weight` [k, filters], the taps and channels of its columns, where its outputs go.

    `taps` int64 [k] ascend; `channels` int64 [k] are absolute. Outputs are filters `first` ... `first +
    outputs - 1`; `kept` bool [outputs] tells which of them are computed, in order, by the panel's lanes.
    """

    weight: Tensor
    taps: Tensor
    channels: Tensor
    first: int
    kept: Tensor

    @property
    def ending(self) -> str:
        """`full` if lanes and outputs are the same filters, else `rows`."""
        lanes = self.weight.shape[1]
        return "full" if len(self.kept) == lanes and bool(self.kept.all()) else "rows"


def choose_height(packed: PackedWeight, target: VectorTarget) -> int:
    """Vectors per panel that waste the fewest lanes over all tiles; the target's preference breaks ties."""

    def lanes_used(height: int) -> int:
        width = height * target.lanes
        return sum(-(-len(tile.rows) // width) * width * len(tile.columns) for tile in packed.tiles)

    return min(target.heights, key=lanes_used)


def make_panels(packed: PackedWeight, width: int) -> list[Panel]:
    """The panels of a layer, `width` filters each, those with the most columns first."""
    panels = [
        panel
        for index, tile in enumerate(packed.tiles)
        for panel in _tile_panels(tile, packed, (index * packed.tile, width))
    ]
    return sorted(panels, key=lambda panel: -len(panel.taps))


def _tile_panels(tile: PackedTile, packed: PackedWeight, place: tuple[int, int]) -> list[Panel]:
    """Cut one tile, whose filters begin at place[0], into panels of place[1] lanes that share its columns."""
    (start, width), geometry = place, packed.geometry
    end = min(start + packed.tile, geometry.rows)
    taps, channels, order = _sort_columns(tile.columns, geometry, start)
    values = tile.values[:, order].float()
    panels = []
    for first in range(0, max(len(tile.rows), 1), width):
        rows = tile.rows[first : first + width]
        weight = torch.zeros(len(order), width, dtype=torch.float32, device="cpu")
        weight[:, : len(rows)] = values[first : first + width].T
        last = first + width >= len(tile.rows)
        opens = start if first == 0 else int(rows[0])
        closes = end if last else int(tile.rows[first + width])
        kept = torch.zeros(closes - opens, dtype=torch.bool, device="cpu")
        kept[rows - opens] = True
        panels.append(Panel(weight, taps, channels, opens, kept))
    return panels


def _sort_columns(columns: Tensor, geometry: ConvGeometry, row: int) -> tuple[Tensor, Tensor, Tensor]:
    """Tap r * kw + s and absolute channel of each column, by tap then channel, and the sorting order."""
    kernel = geometry.kernel[0] * geometry.kernel[1]
    group = row // (geometry.rows // geometry.groups)
    first = group * (geometry.in_channels // geometry.groups)
    taps, channels = columns % kernel, columns // kernel + first
    order = (taps * geometry.in_channels + channels).argsort()
    return taps[order], channels[order], order
