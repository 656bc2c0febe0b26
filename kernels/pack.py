"""Packed weights: what a tile keeps, stored densely, and back."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from kernels.layout import ConvGeometry


@dataclass(frozen=True)
class PackedTile:
    """The kept part of one tile: `values` [r, k] at filters `rows` [r] and GEMM columns `columns` [k].

    `rows` are absolute filter numbers; both index lists ascend. Filters of the tile that are not in `rows`
    are zero (block pruning); a tile of column pruning lists all its filters.
    """

    rows: Tensor
    columns: Tensor
    values: Tensor


@dataclass(frozen=True)
class PackedWeight:
    """A pruned weight matrix as its tiles of `tile` filters each (the last may be ragged).

    A tile is made of consecutive filters, unless the filters were permuted: then any filters are together,
    and engines put each output where its filter belongs.

    >>> weight = torch.tensor([[1., 2., 3.], [4., 5., 6.]])
    >>> keep = torch.tensor([[True, False, True]])
    >>> packed = pack(weight, keep, torch.ones(2, dtype=torch.bool), 2, ConvGeometry(3, 2))
    >>> packed.tiles[0].columns.tolist(), packed.tiles[0].values.tolist()
    ([0, 2], [[1.0, 3.0], [4.0, 6.0]])
    """

    geometry: ConvGeometry
    tile: int
    tiles: tuple[PackedTile, ...]

    @property
    def kept(self) -> int:
        """Weights kept in the whole matrix."""
        return sum(tile.values.numel() for tile in self.tiles)

    @property
    def density(self) -> float:
        return self.kept / (self.geometry.rows * self.geometry.columns)

    @property
    def balanced(self) -> bool:
        """Whether every tile keeps the same number of columns."""
        return len({len(tile.columns) for tile in self.tiles}) == 1

    @property
    def permuted(self) -> bool:
        """Whether some tile has filters beyond its own consecutive ones."""
        return any(bool((tile.rows // self.tile != index).any()) for index, tile in enumerate(self.tiles))

    @property
    def wit(self) -> float:
        """Workload imbalance of tiles: 1 - mean / max of kept columns; idle share if all run in one wave."""
        counts = [len(tile.columns) for tile in self.tiles]
        return 1 - sum(counts) / (len(counts) * max(counts)) if max(counts) else 0.0


def pack(
    weight: Tensor,
    keep: Tensor,
    rows: Tensor,
    tile: int,
    geometry: ConvGeometry,
    *,
    order: Tensor | None = None,
) -> PackedWeight:
    """Keep `keep` bool [tiles, K] of every tile and, of the filters, `rows` bool [M]; `weight` is [M, K].

    Tile t is made of the filters `order[t * tile : (t + 1) * tile]`; without an order, as they come.
    """
    if weight.shape != (geometry.rows, geometry.columns):
        raise ValueError(
            f"expected a weight of {geometry.rows} x {geometry.columns}, got {tuple(weight.shape)}"
        )
    order = torch.arange(geometry.rows) if order is None else order
    tiles = []
    for filters, kept_columns in zip(order.split(tile), keep, strict=True):
        kept_rows = filters[rows[filters]].sort().values
        columns = kept_columns.nonzero()[:, 0]
        values = weight[kept_rows][:, columns].detach().contiguous()
        tiles.append(PackedTile(kept_rows, columns, values))
    return PackedWeight(geometry, tile, tuple(tiles))


def pack_dense(weight: Tensor, geometry: ConvGeometry) -> PackedWeight:
    """The whole of `weight` [M, K] as one tile: the dense case of every engine."""
    everything = torch.ones(1, geometry.columns, dtype=torch.bool)
    return pack(weight, everything, torch.ones(geometry.rows, dtype=torch.bool), geometry.rows, geometry)


def dropped_filters(packed: PackedWeight) -> PackedTile:
    """A tile without columns, of the filters of which nothing is kept: their output is bias and residual."""
    dropped = torch.ones(packed.geometry.rows, dtype=torch.bool)
    for tile in packed.tiles:
        if tile.values.numel():
            dropped[tile.rows] = False
    rows = dropped.nonzero()[:, 0]
    return PackedTile(rows, rows[:0], packed.tiles[0].values.new_zeros(len(rows), 0))


def unpack(packed: PackedWeight) -> Tensor:
    """The dense matrix [M, K] with zeros where nothing was kept: `unpack(pack(w, m)) == w * m`."""
    shape = (packed.geometry.rows, packed.geometry.columns)
    dtype = packed.tiles[0].values.dtype
    dense = torch.zeros(shape, dtype=dtype)
    for tile in packed.tiles:
        dense[tile.rows[:, None], tile.columns[None, :]] = tile.values
    return dense
