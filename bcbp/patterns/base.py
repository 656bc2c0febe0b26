"""What a pattern is, and the steps that patterns share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from bcbp.allocation import ALLOCATIONS
from bcbp.allocation.base import weights_kept
from bcbp.geometry import LayerInfo, TileShape
from bcbp.mask import Mask
from bcbp.permutation import similar_order, unmoved
from bcbp.plan import Importance, LayerPlan
from bcbp.scores import ScorePool, UnitScores
from bcbp.table import Entry
from bcbp.task import Task


@dataclass(frozen=True)
class Outcome:
    """What a pattern gives: a plan for every layer in scope, which of them stay whole and why, remarks."""

    layers: tuple[LayerPlan, ...]
    kept_dense: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()


class Pattern(Entry, Protocol):
    """`label` is for chart legends; patterns that change shapes leave physically smaller layers.

    `fixed_ratio` is the ratio of a pattern that has only one, whatever is asked; else None.
    `no_permutation` says why it makes no difference which filters share a tile; empty where it does.
    """

    @property
    def label(self) -> str: ...

    @property
    def changes_shapes(self) -> bool: ...

    @property
    def fixed_ratio(self) -> float | None: ...

    @property
    def no_permutation(self) -> str: ...

    def prune(self, task: Task) -> Outcome: ...


def allocate(task: Task, pool: ScorePool, ratio: float) -> dict[str, int]:
    """Weights that each layer of `pool` keeps: fixed ratios as given, the others by the spec's allocation."""
    fixed = {
        layer.name: weights_kept(layer.total, task.fixed[layer.name])
        for layer in pool.layers
        if layer.name in task.fixed
    }
    free = ScorePool(tuple(layer for layer in pool.layers if layer.name not in fixed))
    if not free.layers:
        return fixed
    return fixed | ALLOCATIONS[task.spec.allocation].budgets(task, free, ratio)


def split_scope(task: Task, tile: TileShape) -> tuple[tuple[LayerInfo, ...], tuple[tuple[str, str], ...]]:
    """Layers of the task that `tile` fits, and the others with the reason."""
    reasons = {layer.name: layer.tile_reason(tile.rows) for layer in task.layers}
    fitting = tuple(layer for layer in task.layers if reasons[layer.name] is None)
    return fitting, tuple((name, reason) for name, reason in reasons.items() if reason is not None)


MakeMask = Callable[[UnitScores, Tensor], Mask]


@dataclass(frozen=True, eq=False)
class Arranged:
    """A layer's mask, the scores it is made of, and what a permutation brings, if one was looked for."""

    name: str
    mask: Mask
    scores: UnitScores
    importance: Importance | None = None

    def plan(self, target: float, wit_before: float = 0.0) -> LayerPlan:
        return LayerPlan(self.name, self.mask.shape, target, self.mask, wit_before, self.importance)


def arrange(
    task: Task, layer: LayerInfo, scores: UnitScores, *, tile: TileShape, k: int, make: MakeMask
) -> Arranged:
    """The layer's mask; permuted if that was asked for and keeps more importance.

    `make` gives the mask for scores of the columns of tiles and the order that filters are in there; `k` is
    about how many columns a tile keeps.
    """
    plain = make(scores, layer.own_order)
    if not task.spec.permute or unmoved(layer, tile.rows):
        return Arranged(layer.name, plain, scores)
    weights, groups = task.book.weights(layer.name), layer.geometry.groups
    order = similar_order(weights, tile, k, groups=groups, seed=task.spec.seed)
    moved_scores = task.book.in_order(layer.name, tile, order)
    moved = make(moved_scores, order)
    kept = (weights, weights * plain.dense(), weights * moved.dense())
    total, before, after = (float(values.sum(dtype=torch.float64)) for values in kept)
    if after > before:
        return Arranged(layer.name, moved, moved_scores, Importance(total, before, after))
    return Arranged(layer.name, plain, scores, Importance(total, before, before))


PlanLayer = Callable[[LayerInfo, UnitScores, int], LayerPlan]


def prune_layers(task: Task, tile: TileShape, plan_layer: PlanLayer) -> Outcome:
    """Plan every layer that the tile fits from its column scores and its budget; the others stay whole."""
    fitting, kept_dense = split_scope(task, tile)
    pool = task.book.columns(tile).only({layer.name for layer in fitting})
    budgets = allocate(task, pool, task.spec.ratio)
    plans = tuple(
        plan_layer(layer, pool[layer.name], budgets[layer.name])
        if layer.name in budgets
        else whole_layer(layer, tile)
        for layer in task.layers
    )
    return Outcome(plans, kept_dense)


def prune_unbalanced(task: Task, tile: TileShape) -> Outcome:
    """Every layer keeps its best columns of tiles by one threshold, wherever they lie."""

    def plan_layer(layer: LayerInfo, scores: UnitScores, budget: int) -> LayerPlan:
        def keep(scores: UnitScores, order: Tensor) -> Mask:
            return Mask.of_columns(scores.select(budget), order, tile)

        found = arrange(task, layer, scores, tile=tile, k=-(-budget // layer.rows), make=keep)
        return found.plan(layer_target(scores, budget), found.mask.wit)

    return prune_layers(task, tile, plan_layer)


def whole_layer(info: LayerInfo, tile: TileShape) -> LayerPlan:
    """A layer that keeps everything."""
    keep = torch.ones(tile.count(info.rows), info.columns, dtype=torch.bool)
    return LayerPlan(info.name, (info.rows, info.columns), 0.0, Mask.of_columns(keep, info.own_order, tile))


def layer_target(scores: UnitScores, budget: int) -> float:
    """The share of a layer's weights that its budget removes."""
    return 1 - budget / scores.total


def imbalance(counts: torch.Tensor) -> float:
    """WIT of kept columns per tile, int64 [tiles]: 1 - mean / max."""
    most = int(counts.max())
    return 1 - int(counts.sum()) / (len(counts) * most) if most else 0.0
