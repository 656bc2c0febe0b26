"""A packed weight as a handful of flat tensors, for files and for operators that take nothing but tensors."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from kernels.layout import ConvGeometry
from kernels.pack import PackedTile, PackedWeight


@dataclass(frozen=True)
class FlatWeight:
    """The tiles of a packed weight one behind the other.

    `values` [kept] row by row of each tile; `columns` and `rows` int32, the index lists of all tiles;
    `counts` int32 [tiles, 2], how many rows and columns each tile has.

    >>> from kernels.pack import pack_dense
    >>> packed = pack_dense(torch.tensor([[1., 2.], [3., 4.]]), ConvGeometry(2, 2))
    >>> flat = FlatWeight.of(packed)
    >>> flat.values.tolist(), flat.columns.tolist(), flat.counts.tolist()
    ([1.0, 2.0, 3.0, 4.0], [0, 1], [[2, 2]])
    """

    values: Tensor
    columns: Tensor
    rows: Tensor
    counts: Tensor

    @classmethod
    def of(cls, packed: PackedWeight) -> FlatWeight:
        tiles = packed.tiles
        return cls(
            torch.cat([tile.values.flatten() for tile in tiles]),
            torch.cat([tile.columns for tile in tiles]).int(),
            torch.cat([tile.rows for tile in tiles]).int(),
            torch.tensor([[len(tile.rows), len(tile.columns)] for tile in tiles], dtype=torch.int32),
        )

    def packed(self, geometry: ConvGeometry, tile: int) -> PackedWeight:
        """Inverse of `of`. Raises ValueError where the parts do not fit each other."""
        rows, columns = self.counts.long().unbind(1)
        sizes = {
            "rows": int(rows.sum()),
            "columns": int(columns.sum()),
            "values": int((rows * columns).sum()),
        }
        for name, size in sizes.items():
            if len(getattr(self, name)) != size:
                raise ValueError(f"expected {size} {name} by the counts, got {len(getattr(self, name))}")
        parts = zip(
            self.rows.long().split(rows.tolist()),
            self.columns.long().split(columns.tolist()),
            self.values.split((rows * columns).tolist()),
            strict=True,
        )
        tiles = tuple(PackedTile(r, c, values.view(len(r), len(c))) for r, c, values in parts)
        return PackedWeight(geometry, tile, tiles)

    @property
    def nbytes(self) -> int:
        return sum(getattr(self, part.name).nbytes for part in fields(self))
