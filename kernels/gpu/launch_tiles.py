"""A packed weight cut into what thread blocks share: launch tiles of one list of columns each.

Pruning tiles are as narrow as accuracy wants them, launch tiles as wide as the tensor cores want them.
Joining neighbours into one launch tile takes the union of their lists, with zeros where a tile did not keep a
column: free where the lists agree, and `growth` says what it costs where they do not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from kernels.pack import PackedTile, PackedWeight, dropped_filters

ORDERS = ("given", "longest")
NO_FILTER = -1


@dataclass(frozen=True, eq=False)
class LaunchTiles:
    """`count` launch tiles of `width` rows and up to `columns` columns, a whole number of blocks.

    `values` [count * width, columns]; `taps` int64 [count, columns], the GEMM column behind each value;
    `filters` int32 [count * width], the output channel of each row or NO_FILTER; `blocks` int32 [count], the
    blocks of columns that each tile really has. Beyond a tile's own columns the values are zero and the
    taps repeat a column it keeps: zero times Inf of a column that was dropped would be NaN.
    """

    width: int
    values: Tensor
    taps: Tensor
    filters: Tensor
    blocks: Tensor

    @property
    def count(self) -> int:
        return len(self.taps)

    @property
    def columns(self) -> int:
        return self.taps.shape[1]

    @property
    def uniform(self) -> bool:
        """Whether every tile has the same number of column blocks."""
        return bool((self.blocks == self.blocks[0]).all())


def launch_tiles(
    packed: PackedWeight, *, width: int, block_k: int, dtype: torch.dtype, order: str = "given"
) -> LaunchTiles:
    """Cut and join the tiles of `packed` into launch tiles of `width` rows.

    Filters of which nothing is kept form tiles of zero blocks: their output is still bias and residual.
    `order` "longest" puts the tiles with most columns first, the usual remedy for unequal tiles; ValueError
    for another word than ORDERS.
    """
    if order not in ORDERS:
        raise ValueError(f"expected an order out of {', '.join(ORDERS)}, got {order!r}")
    tiles = [*_joined(packed, width), *_empty(packed, width)]
    if order == "longest":
        tiles.sort(key=lambda tile: -len(tile.columns))
    blocks = [-(-len(tile.columns) // block_k) for tile in tiles]
    columns = max(1, *blocks) * block_k
    values = torch.zeros(len(tiles), width, columns)
    taps = torch.zeros(len(tiles), columns, dtype=torch.int64)
    filters = torch.full((len(tiles), width), NO_FILTER, dtype=torch.int32)
    for number, tile in enumerate(tiles):
        kept = len(tile.columns)
        filters[number, : len(tile.rows)] = tile.rows.int()
        if kept:
            values[number, : len(tile.rows), :kept] = tile.values.float()
            taps[number, :kept] = tile.columns
            taps[number, kept:] = tile.columns[-1]
    return LaunchTiles(
        width,
        values.flatten(0, 1).to(dtype),
        taps,
        filters.flatten(),
        torch.tensor(blocks, dtype=torch.int32),
    )


def launch_columns(packed: PackedWeight, width: int) -> tuple[int, ...]:
    """How many columns each launch tile of `width` has, tiles without columns included."""
    joined = [len(_columns(group)) for group in _groups(packed, width)]
    return (*joined, *(0 for _ in _empty(packed, width)))


def growth(packed: PackedWeight, width: int) -> float:
    """Weights that launch tiles of `width` multiply, as a multiple of the weights kept (>= 1)."""
    groups = _groups(packed, width)
    executed = sum(sum(len(tile.rows) for tile in group) * len(_columns(group)) for group in groups)
    return executed / packed.kept if packed.kept else 1.0


def _joined(packed: PackedWeight, width: int) -> Iterator[PackedTile]:
    """Tiles of at most `width` rows: wide ones cut, neighbours joined while they fit."""
    for group in _groups(packed, width):
        yield _union(group)


def _groups(packed: PackedWeight, width: int) -> Iterator[list[PackedTile]]:
    """The tiles, or parts of one, that make up each launch tile."""
    group: list[PackedTile] = []
    for tile in packed.tiles:
        if not tile.values.numel():
            continue
        if group and sum(len(member.rows) for member in group) + len(tile.rows) > width:
            yield group
            group = []
        if len(tile.rows) > width:
            yield from ([part] for part in _cut(tile, width))
        else:
            group.append(tile)
    if group:
        yield group


def _columns(tiles: list[PackedTile]) -> Tensor:
    """Every column that some of `tiles` keeps, ascending."""
    return tiles[0].columns if len(tiles) == 1 else torch.cat([tile.columns for tile in tiles]).unique()


def _cut(tile: PackedTile, width: int) -> Iterator[PackedTile]:
    for first in range(0, len(tile.rows), width):
        part = slice(first, first + width)
        yield PackedTile(tile.rows[part], tile.columns, tile.values[part])


def _union(tiles: list[PackedTile]) -> PackedTile:
    """One tile that keeps every column some of `tiles` keeps."""
    if len(tiles) == 1:
        return tiles[0]
    rows = torch.cat([tile.rows for tile in tiles])
    columns = _columns(tiles)
    values, first = tiles[0].values.new_zeros(len(rows), len(columns)), 0
    for tile in tiles:
        places = torch.searchsorted(columns, tile.columns)
        values[first : first + len(tile.rows), places] = tile.values
        first += len(tile.rows)
    return PackedTile(rows, columns, values)


def _empty(packed: PackedWeight, width: int) -> Iterator[PackedTile]:
    """Tiles without columns, for the filters of which nothing is kept."""
    dropped = dropped_filters(packed)
    if len(dropped.rows):
        yield from _cut(dropped, width)
