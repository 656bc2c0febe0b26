"""Scored units of a model in one total order, sorted once, so that every new ratio is a few comparisons."""

from __future__ import annotations

import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from bcbp.criteria import CRITERIA
from bcbp.errors import ModelError
from bcbp.geometry import TileShape
from bcbp.intake.model import LoadedModel

_NUMBER = np.uint64(0xFFFF_FFFF)


@dataclass(frozen=True, eq=False)
class UnitScores:
    """The units of one layer: `values` float32 [groups, units]; a unit of group g stands for `weights[g]` weights.

    Columns: a group is a tile, a unit one of its columns, its weight the rows of the tile. Filters: each filter is
    a group of one unit, which stands for K weights. `first` numbers the layer's first unit in its pool.

    A unit's key is its score, inverted, above its number: ascending keys run from the best unit to the worst,
    and equal scores are settled by position. Non-negative floats order like their bits.
    """

    name: str
    values: Tensor
    weights: Tensor
    first: int

    @property
    def total(self) -> int:
        """Weights of the whole layer."""
        return int(self.weights.sum()) * self.values.shape[1]

    @cached_property
    def keys(self) -> np.ndarray:
        """uint64 [groups, units], unique in the pool."""
        values = self.values.numpy()
        numbers = np.arange(self.first, self.first + values.size, dtype=np.uint64)
        return (~values.view(np.uint32)).astype(np.uint64) << np.uint64(32) | numbers.reshape(values.shape)

    @cached_property
    def ordered(self) -> np.ndarray:
        """Keys of all units of the layer, best first."""
        return np.sort(self.keys, axis=None)

    @cached_property
    def ordered_groups(self) -> np.ndarray:
        """Keys of each group, best first."""
        return np.sort(self.keys, axis=1)

    @cached_property
    def cumulative(self) -> np.ndarray:
        """int64: weights in the layer's best 1, 2, ... units."""
        groups = ((self.ordered & _NUMBER).astype(np.int64) - self.first) // self.values.shape[1]
        return np.cumsum(self.weights.numpy()[groups])

    def select(self, keep: int) -> Tensor:
        """The layer's best units that together hold at least `keep` weights: bool [groups, units]."""
        if keep <= 0:
            return torch.zeros(self.values.shape, dtype=torch.bool)
        last = self.ordered[np.searchsorted(self.cumulative, keep)]
        return torch.from_numpy(self.keys <= last)

    def best(self, count: int) -> Tensor:
        """The best `count` >= 1 units of every group: bool [groups, units]."""
        return torch.from_numpy(self.keys <= self.ordered_groups[:, count - 1, None])


@dataclass(frozen=True, eq=False)
class ScorePool:
    """The layers whose units compete under one threshold."""

    layers: tuple[UnitScores, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(layer.name for layer in self.layers)

    def __getitem__(self, name: str) -> UnitScores:
        return self._by_name[name]

    @cached_property
    def _by_name(self) -> dict[str, UnitScores]:
        return {layer.name: layer for layer in self.layers}

    @cached_property
    def _subsets(self) -> dict[tuple[str, ...], ScorePool]:
        return {self.names: self}

    def only(self, names: Collection[str]) -> ScorePool:
        """The pool of some of the layers; the most recent one is kept, because sliders ask for it again."""
        wanted = tuple(name for name in self.names if name in names)
        if wanted not in self._subsets:
            self._subsets.clear()
            self._subsets[wanted] = ScorePool(tuple(self[name] for name in wanted))
        return self._subsets[wanted]

    @cached_property
    def _order(self) -> tuple[np.ndarray, np.ndarray]:
        """Layer index and weights of every unit of the pool, best first: int64 and int32."""
        keys = np.sort(np.concatenate([layer.ordered for layer in self.layers]))
        numbers = (keys & _NUMBER).astype(np.int64)
        end = max(layer.first + layer.values.numel() for layer in self.layers)
        owner, weights = np.zeros(end, np.int64), np.zeros(end, np.int32)
        for index, layer in enumerate(self.layers):
            span = slice(layer.first, layer.first + layer.values.numel())
            owner[span] = index
            weights[span] = np.repeat(layer.weights.numpy(), layer.values.shape[1])
        return owner[numbers], weights[numbers]

    def split(self, keep: int, floors: Mapping[str, int]) -> dict[str, int]:
        """Weights each layer keeps when one threshold over all units keeps `keep` of them.

        A layer that would fall below its floor is held at it, and the threshold is found again for the others.
        """
        owner, weights = self._order
        floor = np.array([floors[name] for name in self.names])
        held = np.zeros(len(floor), bool)
        while True:
            counted = np.where(held[owner], 0, weights) if held.any() else weights
            stop = np.searchsorted(np.cumsum(counted, dtype=np.int64), keep - floor[held].sum()) + 1
            kept = np.bincount(owner[:stop], counted[:stop], len(floor)).astype(np.int64)
            kept[held] = floor[held]
            low = kept < floor
            if not low.any():
                return {name: int(count) for name, count in zip(self.names, kept, strict=True)}
            held |= low


class ScoreBook:
    """All scores of one model under one criterion and seed, computed when first asked for, then kept."""

    def __init__(self, model: LoadedModel, criterion: str, seed: int) -> None:
        self.model = model
        self.criterion = CRITERIA[criterion]
        self.seed = seed
        self._columns: dict[int, ScorePool] = {}

    def columns(self, tile: TileShape) -> ScorePool:
        """Scores of the column vectors [tiles, K] of every prunable layer."""
        if tile.rows not in self._columns:
            self._columns[tile.rows] = self._pool(tile)
        return self._columns[tile.rows]

    @cached_property
    def filters(self) -> ScorePool:
        """Scores of the filters [M, 1] of every prunable layer."""
        return self._pool(None)

    def _pool(self, tile: TileShape | None) -> ScorePool:
        layers, first = [], 0
        for info in self.model.layers:
            values, weights = self._score(info.name, tile)
            layers.append(UnitScores(info.name, values.contiguous(), weights, first))
            first += values.numel()
        return ScorePool(tuple(layers))

    def _score(self, name: str, tile: TileShape | None) -> tuple[Tensor, Tensor]:
        """Scores of one layer and the weights that a unit of each group stands for."""
        weight = self.model.weight(name)
        generator = torch.Generator().manual_seed(zlib.crc32(f"{self.seed} {name}".encode()))
        if tile is None:
            values = self.criterion.filters(weight, generator)[:, None]
            weights = torch.full((len(weight),), weight.shape[1])
        else:
            values = self.criterion.columns(weight, tile, generator)
            weights = tile.heights(len(weight))
        if not torch.isfinite(values).all():
            raise ModelError(
                f"Expected finite weights; layer {name} holds NaN, infinite or overflowing values. "
                "Load a sound checkpoint."
            )
        return values, weights
