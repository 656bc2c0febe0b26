"""Scored units of a model in one total order: sorted once, so that a new ratio is a few comparisons."""

from __future__ import annotations

import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from bcbp.calibration import ModelStats
from bcbp.criteria import CRITERIA, Evidence
from bcbp.errors import ModelError, SpecError
from bcbp.geometry import TileShape
from bcbp.intake.model import LoadedModel
from bcbp.surgery import inner_layers

_NUMBER = np.uint64(0xFFFF_FFFF)
_FANOUT = 64


@dataclass(frozen=True, eq=False)
class UnitScores:
    """The units of one layer: `values` float32 [groups, units]; one of group g holds `weights[g]` weights.

    Columns: a group is a tile, a unit one of its columns, its weight the rows of the tile. Filters: each
    filter is a group of one unit, which stands for K weights.

    A unit's key is its score, inverted, above its number in the pool, which starts at `first`: ascending keys
    run from the best unit to the worst, and equal scores are settled by position. (Floats that are not
    negative order like their bits.) Counts are NumPy's: on small arrays torch waits for its threads.
    """

    name: str
    values: Tensor
    weights: Tensor
    first: int

    @cached_property
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
    def _cumulative(self) -> np.ndarray | None:
        """int64 [1 + units]: weights in the best 0, 1, 2, ... units; None where all units weigh the same."""
        weights = self.weights.numpy()
        if (weights == weights[0]).all():
            return None
        return np.concatenate([[0], np.cumsum(weights[self._groups()])])

    @cached_property
    def _lost(self) -> tuple[np.ndarray, np.ndarray]:
        """Weights in the best 0, 1, 2, ... units; the share of all squared scores in the others."""
        scores = (~(self.ordered >> np.uint64(32))).astype(np.uint32).view(np.float32).astype(np.float64)
        weights = self.weights.numpy()[self._groups()]
        energy = np.concatenate([[0.0], np.cumsum(weights * scores**2)])
        share = 1 - energy / energy[-1] if energy[-1] else np.zeros_like(energy)
        return np.concatenate([[0], np.cumsum(weights)]), np.maximum(share, 0.0)

    def importance_lost(self, ratios: np.ndarray) -> np.ndarray:
        """The share of the layer's summed squared scores that goes with its worst units, float64 in [0, 1].

        For the L2 criterion that is the energy of the weights removed.
        """
        weights, lost = self._lost
        return np.interp((1 - ratios) * self.total, weights, lost)

    def _groups(self) -> np.ndarray:
        """The group of every unit, best unit first."""
        return ((self.ordered & _NUMBER).astype(np.int64) - self.first) // self.values.shape[1]

    def weights_until(self, cuts: np.ndarray) -> np.ndarray:
        """Weights in the units whose key is at most the cut, int64, for each of `cuts` (uint64)."""
        counts = np.searchsorted(self.ordered, cuts, "right")
        return counts * int(self.weights[0]) if self._cumulative is None else self._cumulative[counts]

    def cut(self, keep: int) -> np.uint64:
        """Key of the last of the layer's best units that together hold at least `keep` >= 1 weights."""
        if self._cumulative is None:
            return self.ordered[-(-keep // int(self.weights[0])) - 1]
        return self.ordered[np.searchsorted(self._cumulative, keep) - 1]

    def select(self, keep: int) -> Tensor:
        """The layer's best units that together hold at least `keep` >= 1 weights: bool [groups, units]."""
        return torch.from_numpy(self.keys <= self.cut(keep))

    def count(self, keep: int) -> Tensor:
        """How many of the units that `select` gives lie in each group: int64 [groups]."""
        return torch.from_numpy(np.count_nonzero(self.keys <= self.cut(keep), axis=1))

    def best(self, count: int) -> Tensor:
        """The best `count` >= 1 units of every group: bool [groups, units]."""
        return torch.from_numpy(self.keys <= self.ordered_groups[:, count - 1, None])


@dataclass(frozen=True, eq=False)
class ScorePool:
    """The layers whose units compete under one threshold."""

    layers: tuple[UnitScores, ...]

    @cached_property
    def _by_name(self) -> dict[str, UnitScores]:
        return {layer.name: layer for layer in self.layers}

    def __getitem__(self, name: str) -> UnitScores:
        return self._by_name[name]

    def only(self, names: Collection[str]) -> ScorePool:
        """The pool of some of the layers."""
        return ScorePool(tuple(layer for layer in self.layers if layer.name in names))

    def split(self, keep: int, floors: Mapping[str, int]) -> dict[str, int]:
        """Weights each layer keeps when one threshold keeps `keep` in all, and no layer less than its floor.

        The threshold is the lowest key that keeps enough; the range of keys is cut in 64 until it is found.
        """
        low, high = 0, 2**64 - 1
        while low < high:
            cuts = [low + (high - low) * step // _FANOUT for step in range(_FANOUT + 1)]
            totals = sum(self._kept(np.array(cuts, np.uint64), floors).values())
            enough = int(np.argmax(totals >= keep))
            low, high = cuts[enough - 1] + 1 if enough else low, cuts[enough]
        return {name: int(kept[0]) for name, kept in self._kept(np.array([high], np.uint64), floors).items()}

    def _kept(self, cuts: np.ndarray, floors: Mapping[str, int]) -> dict[str, np.ndarray]:
        return {
            layer.name: np.maximum(layer.weights_until(cuts), floors[layer.name]) for layer in self.layers
        }


class ScoreBook:
    """All scores of one model under one criterion and seed, computed when first asked for, then kept.

    `stats` are what `bcbp.calibration.collect` gives for a criterion that needs them. Raises SpecError
    where they are missing.
    """

    def __init__(
        self, model: LoadedModel, criterion: str, seed: int, stats: ModelStats | None = None
    ) -> None:
        self.model = model
        self.criterion = CRITERIA[criterion]
        self.seed = seed
        self._stats = stats if self.criterion.needs else {}
        if self._stats is None:
            raise SpecError(
                f"Expected calibration statistics ({self.criterion.needs}) for criterion {criterion}; got "
                "none. Collect them first, or choose a criterion that looks at weights alone."
            )
        self._columns: dict[int, ScorePool] = {}

    def columns(self, tile: TileShape) -> ScorePool:
        """Scores of the column vectors [tiles, K] of every prunable layer.

        Tiles of one row score every weight; they are not kept, because sorted keys take 20 bytes for each.
        """
        if tile.rows == 1:
            return self._pool(tile)
        if tile.rows not in self._columns:
            self._columns[tile.rows] = self._pool(tile)
        return self._columns[tile.rows]

    def in_order(self, name: str, tile: TileShape, order: Tensor) -> UnitScores:
        """A layer's column vectors [tiles, K] with its filters in another order."""
        return self._units(name, tile, 0, order)

    def weights(self, name: str) -> Tensor:
        """Importance of a layer's single weights, float32 [M, K], which adds up over the rows of tiles."""
        return self.criterion.weights(self._evidence(name))

    @cached_property
    def inner(self) -> dict[str, tuple[str, ...]]:
        """The layers that may lose filters, each with the layers that read them."""
        return inner_layers(self.model.module, self.model.input_shape)

    @cached_property
    def filters(self) -> ScorePool:
        """Scores of the filters [M, 1] of every prunable layer."""
        return self._pool(None)

    def _pool(self, tile: TileShape | None) -> ScorePool:
        layers, first = [], 0
        for info in self.model.layers:
            layers.append(self._units(info.name, tile, first))
            first += layers[-1].values.numel()
        return ScorePool(tuple(layers))

    def _units(
        self, name: str, tile: TileShape | None, first: int, order: Tensor | None = None
    ) -> UnitScores:
        """The units of one layer, of its filters without a tile."""
        evidence = self._evidence(name) if order is None else self._evidence(name).in_order(order)
        weight = evidence.weight
        if tile is None:
            values = self.criterion.filters(evidence)[:, None]
            weights = torch.full((len(weight),), weight.shape[1])
        else:
            values = self.criterion.columns(evidence, tile)
            weights = tile.heights(len(weight))
        if not torch.isfinite(values).all():
            raise ModelError(
                f"Expected finite weights; layer {name} holds NaN, infinite or overflowing values. "
                "Load a sound checkpoint."
            )
        return UnitScores(name, values.contiguous(), weights, first)

    def _evidence(self, name: str) -> Evidence:
        assert self._stats is not None
        generator = torch.Generator().manual_seed(zlib.crc32(f"{self.seed} {name}".encode()))
        return Evidence(self.model.weight(name), generator, self._stats.get(name))
