"""One layer of the benchmark, with random weights and inputs, pruned in each pattern that is timed."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from kernels.layers import LayerShape
from kernels.pack import PackedWeight, pack, pack_dense

# bcbp: the same number of columns in every tile. column: tiles from half to one and a half times the mean, or
# less far apart where a tile would need more columns than there are. block: rows and columns. filter: a
# smaller layer of fewer filters, with equal arithmetic, run densely.
UNBALANCED = "column"
PATTERNS = ("bcbp", UNBALANCED, "block", "filter")
_MOST_APART = 0.5


@dataclass(frozen=True)
class BenchJob:
    """What is timed in one session: a layer at a batch size, a tile and a ratio."""

    shape: LayerShape
    batch: int
    tile: int
    ratio: float

    @property
    def height(self) -> int:
        """Filters per tile: never more than there are."""
        return min(self.tile, self.shape.geometry.rows)

    def __str__(self) -> str:
        return f"{self.shape.name}, batch {self.batch}, tile {self.tile}, ratio {self.ratio:g}"


class PrunedLayer:
    """The weight [M, K], bias [M] and input [N, C, H, W] of a job, and what each pattern leaves of them."""

    def __init__(self, job: BenchJob) -> None:
        geometry = job.shape.geometry
        self.shape, self.batch, self.ratio = job.shape, job.batch, job.ratio
        self.tile = job.height
        self._random = torch.Generator().manual_seed(0)
        self.weight = torch.randn(geometry.rows, geometry.columns, generator=self._random)
        self.bias = torch.randn(geometry.rows, generator=self._random)

    def input(self) -> Tensor:
        """Random float32 in channels_last."""
        x = torch.randn(
            self.batch, self.shape.geometry.in_channels, *self.shape.plane, generator=self._random
        )
        return x.contiguous(memory_format=torch.channels_last)

    def pruned(self, pattern: str) -> PackedWeight:
        """What one of PATTERNS leaves of the weight; of "dense" all."""
        make = {
            "dense": self.dense,
            "bcbp": self._balanced,
            "column": self._unbalanced,
            "block": self._block,
            "filter": self._fewer_filters,
        }
        return make[pattern]()

    def dense(self) -> PackedWeight:
        return pack_dense(self.weight, self.shape.geometry)

    def share(self, packed: PackedWeight) -> float:
        """The share of the layer's multiply-accumulates that `packed` keeps."""
        return packed.kept / self.weight.numel()

    def _balanced(self) -> PackedWeight:
        return self._pack(torch.full((self._tiles,), self._kept(1 - self.ratio)))

    def _unbalanced(self) -> PackedWeight:
        """Tiles keep evenly spread shares, as far below the mean as above it: the mean is 1 - ratio."""
        mean = 1 - self.ratio
        apart = min(_MOST_APART * mean, 1 - mean)
        shares = torch.linspace(mean - apart, mean + apart, self._tiles) if self._tiles > 1 else [mean]
        order = torch.randperm(self._tiles, generator=self._random).tolist()
        return self._pack(torch.tensor([self._kept(float(shares[place])) for place in order]))

    def _block(self) -> PackedWeight:
        """Rows and columns lose equal shares: (1 - rows)(1 - columns) = 1 - ratio."""
        share = (1 - self.ratio) ** 0.5
        height = round(share * self.tile)
        chance = torch.rand(self._tiles, self.tile, generator=self._random)
        rows = (chance.argsort(1).argsort(1) < height).flatten()[: self.shape.geometry.rows]
        return self._pack(torch.full((self._tiles,), self._kept(share)), rows)

    def _fewer_filters(self) -> PackedWeight:
        g = self.shape.geometry
        filters = max(g.groups, round(g.rows * (1 - self.ratio) / g.groups) * g.groups)
        return pack_dense(self.weight[:filters], replace(g, out_channels=filters))

    @property
    def _tiles(self) -> int:
        return -(-self.shape.geometry.rows // self.tile)

    def _kept(self, share: float) -> int:
        return min(self.shape.geometry.columns, max(1, round(share * self.shape.geometry.columns)))

    def _pack(self, counts: Tensor, rows: Tensor | None = None) -> PackedWeight:
        """Random columns, counts[t] of them in tile t."""
        geometry = self.shape.geometry
        order = torch.rand(self._tiles, geometry.columns, generator=self._random).argsort(1).argsort(1)
        everyone = torch.ones(geometry.rows, dtype=torch.bool)
        keep = order < counts[:, None]
        return pack(self.weight, keep, everyone if rows is None else rows, self.tile, geometry)
