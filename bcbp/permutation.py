"""Which filters of a layer share a tile: those that want the same columns, by balanced k-means, then swaps.

    max Σ_t Σ_{j in Top_k(t)} Σ_{i in tile t} s_ij

s is the importance of single weights, k the columns that each tile keeps. Filters are grouped by what they
want, never sorted by norm: that would crowd the strong ones into a few tiles. [ours]

In NumPy: its partial sort and its element-wise sums take one thread, where torch waits for its threads.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from bcbp.geometry import LayerInfo, TileShape

_STARTS = 4
# Rounds of swaps, each of many pairs of filters: a bound on the work.
_ROUNDS = 16
# What float32 sums of a few thousand columns may be off by, as a share: a smaller gain is none.
_NOISE = 1e-6
_CHUNK = 64  # filters whose columns stay in the second cache

# Sums looked at in a round: filters x tiles x columns. ResNet-18's largest layers have 4e7 at V = 32.
_MOST_WORK = 5e8

Array = np.ndarray


def unmoved(layer: LayerInfo, height: int) -> str:
    """Why a layer's filters keep their order in tiles of `height`; empty where they may be permuted."""
    filters = layer.rows // layer.geometry.groups
    if height == 1:
        return "a tile is one filter"
    if filters <= height:
        return "one tile has all filters" + (" of a group" if layer.geometry.groups > 1 else "")
    if layer.rows * -(-filters // height) * layer.columns > _MOST_WORK:
        return "it would take minutes to compare so many"
    return ""


def similar_order(importance: Tensor, tile: TileShape, k: int, *, groups: int = 1, seed: int = 0) -> Tensor:
    """The order of the filters, int64 [M]: tile t is `order[t V : (t + 1) V]`, ascending in itself.

    `importance` is float32 [M, K], not negative; no filter leaves its group of a grouped convolution. Never
    worse than the order as it is: where nothing better is found, that is what comes back.
    """
    filters = len(importance) // groups
    parts = [
        _Tiles(part.numpy(), tile.heights(filters).numpy(), k).order(seed) + filters * number
        for number, part in enumerate(importance.split(filters))
    ]
    return torch.from_numpy(np.concatenate(parts))


def objective(importance: Tensor, tile: TileShape, k: int, order: Tensor) -> float:
    """Importance that tiles of `order` keep with their best k columns each."""
    sums = torch.stack([part.sum(0) for part in importance.double()[order].split(tile.rows)])
    return float(sums.topk(k, 1).values.sum())


@dataclass(frozen=True, eq=False)
class _Tiles:
    """One group: `importance` [M, K] in tiles of `heights` [T], of which each keeps `k` columns.

    An assignment `of` int64 [M] says which tile each filter is in. Every step exchanges filters of two tiles,
    so the heights stay.
    """

    importance: Array
    heights: Array
    k: int

    def order(self, seed: int) -> Array:
        identity = np.repeat(np.arange(len(self.heights)), self.heights)
        if len(self.heights) == 1 or self.k == self.importance.shape[1]:
            return identity.argsort(kind="stable")
        random = np.random.default_rng(seed)
        starts = [identity, *(self._scattered(identity, random) for _ in range(_STARTS))]
        best = self._swap(max((self._cluster(start) for start in starts), key=self.value))
        gained = self.value(best) - self.value(identity)
        return (best if gained > _NOISE * self.value(identity) else identity).argsort(kind="stable")

    def value(self, of: Array) -> float:
        return float(self._kept(self._sums(of)).sum())

    def _sums(self, of: Array) -> Array:
        """[T, K]."""
        return np.stack([self.importance[of == tile].sum(0) for tile in range(len(self.heights))])

    def _kept(self, sums: Array) -> Array:
        """What the best k columns of each row of `sums` add up to, float64."""
        first = sums.shape[1] - self.k
        return np.partition(sums, first, axis=1)[:, first:].sum(1, dtype=np.float64)

    # ------------------------------------------------------------------------------------ balanced k-means
    def _scattered(self, identity: Array, random: np.random.Generator) -> Array:
        """A start: filters around as many that want different columns (k-means++, by cosine)."""
        wants = np.sqrt(self.importance)
        wants = wants / np.maximum(np.linalg.norm(wants, axis=1, keepdims=True), 1e-12)
        seeds = [int(random.integers(len(wants)))]
        nearest = wants @ wants[seeds[0]]
        while len(seeds) < len(self.heights):
            apart = np.maximum(1 - nearest, 0).astype(np.float64) + 1e-9
            seeds.append(int(random.choice(len(wants), p=apart / apart.sum())))
            nearest = np.maximum(nearest, wants @ wants[seeds[-1]])
        return exchange(self._affinity(self.importance[seeds]), random.permutation(identity))

    def _affinity(self, sums: Array) -> Array:
        """What each filter has in the best k columns of each row of `sums`: [M, T]."""
        first = sums.shape[1] - self.k
        chosen = np.zeros_like(sums)
        np.put_along_axis(chosen, sums.argpartition(first, axis=1)[:, first:], 1.0, axis=1)
        return self.importance @ chosen.T

    def _cluster(self, of: Array) -> Array:
        """Tiles choose columns, filters choose tiles, in turn: neither ever lowers the value."""
        value = self.value(of)
        while True:
            moved = exchange(self._affinity(self._sums(of)), of)
            reached = self.value(moved)
            if reached <= value * (1 + _NOISE):
                return of
            of, value = moved, reached

    # ------------------------------------------------------------------------------------ swaps
    def _swap(self, of: Array) -> Array:
        """Exchange pairs of filters for as long as that helps, columns being chosen anew."""
        value = self.value(of)
        for _ in range(_ROUNDS):
            pairs = self._helpful(of)
            while len(pairs):
                moved = swapped(of, pairs)
                reached = self.value(moved)
                if reached > value * (1 + _NOISE):
                    break
                pairs = pairs[: len(pairs) // 2]
            if not len(pairs):
                break
            of, value = moved, reached
        return of

    def _helpful(self, of: Array) -> Array:
        """Pairs of filters [n, 2], each filter once, whose exchange helps by itself, the best first."""
        sums = self._sums(of)
        gain, partner = best_swaps(self._estimate(of, sums), of)
        wanted = (gain > 0).nonzero()[0]
        pairs = np.unique(np.sort(np.stack([wanted, partner[wanted]], 1), axis=1), axis=0)
        first, second = pairs.T
        moved, kept = self.importance[second] - self.importance[first], self._kept(sums)
        gains = self._kept(sums[of[first]] + moved) + self._kept(sums[of[second]] - moved)
        gains -= kept[of[first]] + kept[of[second]]
        return distinct([pairs[i] for i in (-gains).argsort() if gains[i] > _NOISE * kept.sum()])

    def _estimate(self, of: Array, sums: Array) -> Array:
        """[M, T]: what a filter adds to each tile in the place of a mean filter, as a mean one loses in its.

        By the dual of the sum of the best k, with a tile's threshold held where it is.
        """
        first = sums.shape[1] - self.k
        above = sums - np.partition(sums, first, axis=1)[:, first, None]
        mean = sums / self.heights[:, None]
        base = np.maximum(above, 0).sum(1)
        added = np.empty((len(of), len(sums)), np.float32)
        for start in range(0, len(of), _CHUNK):
            rows = slice(start, start + _CHUNK)
            own = of[rows]
            for tile, line in enumerate(above - mean):
                added[rows, tile] = np.maximum(self.importance[rows] + line, 0).sum(1) - base[tile]
            left = np.maximum((above + mean)[own] - self.importance[rows], 0).sum(1)
            added[np.arange(len(of))[rows], own] = base[own] - left
        return added


def exchange(affinity: Array, of: Array) -> Array:
    """Swap filters between tiles until no swap raises the sum of `affinity` [M, T] over `of` [M]."""
    least = _NOISE * float(np.abs(affinity).mean())
    rows = np.arange(len(of))
    while True:
        gain, partner = best_swaps(affinity, of)
        mutual = (gain > least) & (partner[partner] == rows) & (rows < partner)
        if not mutual.any():
            return of
        of = swapped(of, np.stack([rows[mutual], partner[mutual]], 1))


def best_swaps(affinity: Array, of: Array) -> tuple[Array, Array]:
    """For each filter the most that a swap with one of another tile gains, and which one that is."""
    there = affinity[:, of]
    own = there.diagonal()
    gains = there + there.T - own - own[:, None]
    gains[of == of[:, None]] = -np.inf
    partner = gains.argmax(1)
    return gains[np.arange(len(of)), partner], partner


def distinct(pairs: list[Array]) -> Array:
    """The pairs [n, 2] in order, without those of which a filter came before."""
    seen: set[int] = set()
    chosen = []
    for pair in pairs:
        if seen.isdisjoint(pair.tolist()):
            seen.update(pair.tolist())
            chosen.append(pair)
    return np.array(chosen, np.int64).reshape(-1, 2)


def swapped(of: Array, pairs: Array) -> Array:
    """The assignment after these swaps."""
    moved = of.copy()
    moved[pairs] = of[pairs[:, ::-1]]
    return moved
