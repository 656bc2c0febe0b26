"""Packed weights in the order the micro-kernel reads them: panels of whole vectors of filters.

A panel is `vectors` x `lanes` kept filters of one tile with the tile's kept columns, sorted by tap (r, s,
channel). Weights lie [column][filter], so that one column's weights are consecutive vectors; missing filters
are zero lanes.

Where filters were permuted, those of a tile lie anywhere among the outputs. A panel of them is `scattered`:
its lanes go one by one to where they belong. Filters of which nothing is kept are panels of no columns there,
and lanes to spare repeat the last filter: they write the same value again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from kernels.cpu.target import VectorTarget
from kernels.layout import ConvGeometry
from kernels.pack import PackedTile, PackedWeight, dropped_filters


@dataclass(frozen=True)
class Panel:
    """One panel: `weight` [k, lanes], the taps and channels of its columns, where its outputs go.

    `taps` int64 [k] ascend; `channels` int64 [k] are absolute. Outputs are the `filters` int64 [outputs],
    ascending; `kept` bool [outputs] tells which of them are computed, in order, by the panel's lanes.
    """

    weight: Tensor
    taps: Tensor
    channels: Tensor
    filters: Tensor
    kept: Tensor

    @property
    def ending(self) -> str:
        """`scattered` for outputs apart from each other; `full` if lanes and outputs are the same filters."""
        if int(self.filters[-1] - self.filters[0]) >= len(self.filters):
            return "scattered"
        return "full" if len(self.kept) == self.weight.shape[1] and bool(self.kept.all()) else "rows"


def choose_height(packed: PackedWeight, target: VectorTarget) -> int:
    """Vectors per panel that waste the fewest lanes over all tiles; the target's preference breaks ties."""

    def lanes_used(height: int) -> int:
        width = height * target.lanes
        return sum(-(-len(tile.rows) // width) * width * len(tile.columns) for tile in packed.tiles)

    return min(target.heights, key=lanes_used)


def make_panels(packed: PackedWeight, width: int) -> list[Panel]:
    """The panels of a layer, `width` filters each, those with the most columns first."""
    cut = _permuted_panels(packed, width) if packed.permuted else _panels_in_place(packed, width)
    return sorted(cut, key=lambda panel: -len(panel.taps))


def _panels_in_place(packed: PackedWeight, width: int) -> Iterator[Panel]:
    """Panels of tiles of consecutive filters; those that were removed lie between the others."""
    extents = torch.arange(packed.geometry.rows).split(packed.tile)
    for tile, filters in zip(packed.tiles, extents, strict=True):
        starts = [int(filters[0]), *(int(row) for row in tile.rows[width::width])]
        ends = [*starts[1:], int(filters[-1]) + 1]
        for number, (start, end) in enumerate(zip(starts, ends, strict=True)):
            part = slice(number * width, (number + 1) * width)
            outputs = torch.arange(start, end)
            yield _panel(packed, PackedTile(tile.rows[part], tile.columns, tile.values[part]), outputs, width)


def _permuted_panels(packed: PackedWeight, width: int) -> Iterator[Panel]:
    """Panels of filters that lie anywhere, and of those that no tile keeps."""
    for tile in (*packed.tiles, dropped_filters(packed)):
        for first in range(0, len(tile.rows), width):
            part = slice(first, first + width)
            rows = tile.rows[part]
            yield _panel(packed, PackedTile(rows, tile.columns, tile.values[part]), rows, width)


def _panel(packed: PackedWeight, part: PackedTile, filters: Tensor, width: int) -> Panel:
    """At most `width` rows of a tile in lanes, for the outputs `filters`, of which they are some."""
    taps, channels, order = _sort_columns(part.columns, packed.geometry, int(filters[0]))
    weight = torch.zeros(len(order), width, dtype=torch.float32, device="cpu")
    weight[:, : len(part.rows)] = part.values[:, order].float().T
    panel = Panel(weight, taps, channels, filters, torch.isin(filters, part.rows))
    if panel.ending == "scattered":
        weight[:, len(part.rows) :] = weight[:, len(part.rows) - 1 : len(part.rows)]
    return panel


def _sort_columns(columns: Tensor, geometry: ConvGeometry, row: int) -> tuple[Tensor, Tensor, Tensor]:
    """Tap r * kw + s and absolute channel of each column, by tap then channel, and the sorting order."""
    kernel = geometry.kernel[0] * geometry.kernel[1]
    group = row // (geometry.rows // geometry.groups)
    first = group * (geometry.in_channels // geometry.groups)
    taps, channels = columns % kernel, columns // kernel + first
    order = (taps * geometry.in_channels + channels).argsort()
    return taps[order], channels[order], order
