"""The one mask type: what each tile of a layer keeps. Dense views and counts are derived, never stored."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bcbp.geometry import TileShape
from kernels.layout import ConvGeometry
from kernels.pack import PackedWeight, pack


@dataclass(frozen=True, eq=False)
class Mask:
    """`keep` bool [tiles, K]: the columns that each tile keeps; `rows` bool [M]: the filters kept at all.

    The kept set of a tile is rows x columns. Column patterns keep every row; filter pruning keeps
    every column of some rows; block pruning drops both; per-weight patterns have tiles of one row.

    `order` int64 [M] says which filters share a tile: tile t is `order[t V : (t + 1) V]`; given none, filters
    as they come. Nothing else is in that order: `rows` and dense views are in the layer's own.

    >>> keep = torch.tensor([[True, True, False, False], [False, True, True, False]])
    >>> mask = Mask(keep, torch.ones(4, dtype=torch.bool), TileShape(2))
    >>> mask.sparsity, mask.kept_per_tile.tolist(), mask.balanced
    (0.5, [2, 2], True)
    """

    keep: Tensor
    rows: Tensor
    tile: TileShape
    order: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.int64))

    def __post_init__(self) -> None:
        tiles, own = self.tile.count(len(self.rows)), torch.arange(len(self.rows))
        if not len(self.order):
            object.__setattr__(self, "order", own)
        if not torch.equal(self.order.sort().values, own):
            raise ValueError(f"expected an order of all {len(own)} filters, got {self.order.tolist()}")
        if self.keep.dtype != torch.bool or self.rows.dtype != torch.bool:
            raise ValueError(f"expected bool masks, got {self.keep.dtype} and {self.rows.dtype}")
        if self.keep.ndim != 2 or len(self.keep) != tiles:
            raise ValueError(
                f"expected keep of {tiles} tiles x K for {len(self.rows)} filters in tiles of "
                f"{self.tile.rows}; got {tuple(self.keep.shape)}"
            )

    @classmethod
    def of_columns(cls, keep: Tensor, order: Tensor, tile: TileShape) -> Mask:
        """A mask that drops columns only."""
        return cls(keep, torch.ones(len(order), dtype=torch.bool), tile, order)

    @property
    def shape(self) -> tuple[int, int]:
        """The GEMM matrix: (M, K)."""
        return len(self.rows), self.keep.shape[1]

    @property
    def kept_per_tile(self) -> Tensor:
        """Columns kept by each tile, int64 [tiles]."""
        return self.keep.sum(1)

    @property
    def rows_per_tile(self) -> Tensor:
        """Filters kept in each tile, int64 [tiles]."""
        tiles, height = len(self.keep), self.tile.rows
        padded = torch.zeros(tiles * height, dtype=torch.bool)
        padded[: len(self.rows)] = self.rows[self.order]
        return padded.view(tiles, height).sum(1)

    @property
    def kept(self) -> int:
        """Weights kept."""
        return int((self.kept_per_tile * self.rows_per_tile).sum())

    @property
    def sparsity(self) -> float:
        """Share of weights removed."""
        filters, columns = self.shape
        return 1 - self.kept / (filters * columns)

    @property
    def balanced(self) -> bool:
        """Whether all tiles keep the same number of columns."""
        counts = self.kept_per_tile
        return bool((counts == counts[0]).all())

    @property
    def wit(self) -> float:
        """Workload imbalance of tiles: 1 - mean / max of kept columns; idle share if all run in one wave."""
        counts = self.kept_per_tile.double()
        return float(1 - counts.mean() / counts.max()) if counts.max() > 0 else 0.0

    @property
    def permuted(self) -> bool:
        """Whether some tile is not made of consecutive filters."""
        return not torch.equal(self.order, torch.arange(len(self.order)))

    @property
    def tile_of(self) -> Tensor:
        """The tile of every filter, int64 [M]."""
        return self.order.argsort() // self.tile.rows

    def dense(self) -> Tensor:
        """bool [M, K], True where a weight is kept; filters in the layer's own order."""
        return self.keep[self.tile_of] & self.rows[:, None]

    def pack(self, weight: Tensor, geometry: ConvGeometry) -> PackedWeight:
        """What the mask keeps of `weight` [M, K], as engines run it."""
        return pack(weight, self.keep, self.rows, self.tile.rows, geometry, order=self.order)

    def __repr__(self) -> str:
        filters, columns = self.shape
        balance = "balanced" if self.balanced else "unbalanced"
        order = ", permuted" if self.permuted else ""
        return (
            f"Mask({filters} x {columns} in {len(self.keep)} tiles of {self.tile.rows}, "
            f"{self.sparsity:.1%} removed, {balance}{order})"
        )

    def to_json(self) -> dict[str, Any]:
        """Packed bits in base64 with the sizes needed to read them back."""
        return {
            "tile": self.tile.rows,
            "k_step": self.tile.k_step,
            "filters": self.shape[0],
            "columns": self.shape[1],
            "keep": _pack_bits(self.keep),
            "rows": _pack_bits(self.rows),
            "order": self.order.tolist() if self.permuted else [],
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Mask:
        """Inverse of `to_json`."""
        tile = TileShape(data["tile"], data["k_step"])
        filters, columns = data["filters"], data["columns"]
        return cls(
            _unpack_bits(data["keep"], (tile.count(filters), columns)),
            _unpack_bits(data["rows"], (filters,)),
            tile,
            torch.tensor(data.get("order", []), dtype=torch.int64),
        )


def _pack_bits(bits: Tensor) -> str:
    return base64.b64encode(np.packbits(bits.numpy()).tobytes()).decode()


def _unpack_bits(text: str, shape: tuple[int, ...]) -> Tensor:
    packed = np.frombuffer(base64.b64decode(text), np.uint8)
    count = int(np.prod(shape))
    return torch.from_numpy(np.unpackbits(packed, count=count).astype(bool).reshape(shape))
