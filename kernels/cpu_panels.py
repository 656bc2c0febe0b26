"""Packed weights in the order the micro-kernel reads them: panels of whole vectors of filters.

A panel is `vectors` x `lanes` kept filters of one tile with the tile's kept columns, sorted by tap (r, s, channel).
Weights lie [column][filter], so that one column's weights are consecutive vectors; missing filters are zero lanes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kernels.cpu_blocks import FLOAT
from kernels.cpu_codegen import ENDINGS, PANEL_FIELDS, ROW_FIELDS
from kernels.cpu_target import VectorTarget
from kernels.layout import ConvGeometry
from kernels.pack import PackedTile, PackedWeight

PANEL_RECORD = np.dtype([(name, "i8") for name in PANEL_FIELDS])


@dataclass(frozen=True)
class Panel:
    """One panel: `weight` [k, filters], the taps and channels of its columns, where its outputs go.

    `taps` int64 [k] ascend; `channels` int64 [k] are absolute. Outputs are filters `first` ... `first + outputs - 1`;
    `kept` bool [outputs] tells which of them are computed, in order, by the panel's lanes.
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
        weight = torch.zeros(len(order), width)
        weight[:, : len(rows)] = values[first : first + width].T
        last = first + width >= len(tile.rows)
        opens = start if first == 0 else int(rows[0])
        closes = end if last else int(tile.rows[first + width])
        kept = torch.zeros(closes - opens, dtype=torch.bool)
        kept[rows - opens] = True
        panels.append(Panel(weight, taps, channels, opens, kept))
    return panels


def _sort_columns(columns: Tensor, geometry: ConvGeometry, row: int) -> tuple[Tensor, Tensor, Tensor]:
    """Tap r * kw + s and absolute channel of each GEMM column, by tap then channel, and the order that sorts them."""
    kernel = geometry.kernel[0] * geometry.kernel[1]
    group = row // (geometry.rows // geometry.groups)
    first = group * (geometry.in_channels // geometry.groups)
    taps, channels = columns % kernel, columns // kernel + first
    order = (taps * geometry.in_channels + channels).argsort()
    return taps[order], channels[order], order


class PanelTable:
    """The panels of one layer on planes of one width, as the driver reads them. Keeps every array alive."""

    def __init__(
        self, panels: list[Panel], bias: Tensor | None, *, geometry: ConvGeometry, width: int, lanes: int
    ) -> None:
        self._alive: list[NDArray[np.generic] | Tensor] = []
        self.records = np.zeros(len(panels), PANEL_RECORD)
        for record, panel in zip(self.records, panels, strict=True):
            record["weight"] = self._keep(panel.weight)
            record["offsets"] = self._keep(_offsets(panel, geometry, width))
            record["segments"] = self._keep(_segments(panel, geometry))
            record["bias"] = self._keep(_lane_bias(panel, bias, lanes))
            record["channel"] = panel.first * FLOAT
            record["outputs"] = -(-len(panel.kept) // lanes)
            record["rows"] = self._keep(_rows(panel.kept, lanes))
            record["ending"] = ENDINGS.index(panel.ending)

    @property
    def address(self) -> int:
        return self.records.ctypes.data

    def _keep(self, array: NDArray[np.generic] | Tensor) -> int:
        self._alive.append(array)
        return array.data_ptr() if isinstance(array, Tensor) else array.ctypes.data


def _offsets(panel: Panel, geometry: ConvGeometry, width: int) -> NDArray[np.int32]:
    """Byte distance of each column's input value from the pixel under tap (0, 0), int32 [k]."""
    taps, channels = panel.taps.numpy(), panel.channels.numpy()
    row = taps // geometry.kernel[1] * geometry.dilation[0] - geometry.padding[0]
    column = taps % geometry.kernel[1] * geometry.dilation[1] - geometry.padding[1]
    return (((row * width + column) * geometry.in_channels + channels) * FLOAT).astype(np.int32)


def _segments(panel: Panel, geometry: ConvGeometry) -> NDArray[np.int32]:
    """Columns of tap t are segments[t] ... segments[t + 1] - 1."""
    taps = np.arange(geometry.kernel[0] * geometry.kernel[1] + 1)
    return np.searchsorted(panel.taps.numpy(), taps).astype(np.int32)


def _lane_bias(panel: Panel, bias: Tensor | None, lanes: int) -> Tensor:
    """The bias of the panel's outputs, padded to whole vectors; zero without a bias."""
    outputs = len(panel.kept)
    padded = torch.zeros(max(-(-outputs // lanes) * lanes, panel.weight.shape[1]))
    if bias is not None:
        padded[:outputs] = bias[panel.first : panel.first + outputs].detach().float()
    return padded


def _rows(kept: Tensor, lanes: int) -> NDArray[np.int32]:
    """ROW_FIELDS of each output vector; a bit per lane, the lowest first."""
    count = -(-len(kept) // lanes)
    bits = np.zeros((2, count * lanes), np.int64)
    bits[0, : len(kept)] = kept.numpy()
    bits[1, : len(kept)] = 1
    masks = (bits.reshape(2, count, lanes) << np.arange(lanes)).sum(-1)
    computed = bits[0].reshape(count, lanes).sum(-1)
    table = np.zeros((count, len(ROW_FIELDS)), np.int32)
    table[:, 0], table[:, 1], table[:, 2] = masks[0], masks[1], np.cumsum(computed) - computed
    return table
