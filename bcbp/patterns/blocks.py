"""Blocks: rows and columns of each tile go (the family of BLK-REW), (1 - rc)(1 - rr) = 1 - r with rc = rr."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from bcbp.geometry import LayerInfo, TileShape
from bcbp.mask import Mask
from bcbp.patterns.base import Outcome, Task, allocate, layer_target, split_scope, whole_layer
from bcbp.plan import LayerPlan
from bcbp.scores import ScorePool


def block_sides(heights: Tensor, columns: int, keep: int) -> tuple[list[int], int]:
    """Rows kept in each tile, and columns kept in all of them, so that rows x columns comes closest to `keep` weights.

    Rows are the coarser choice, so they are rounded first and the columns make up for it. A ragged tile keeps rows
    in proportion.

    >>> block_sides(torch.tensor([32, 32]), 100, 3200)
    ([23, 23], 70)
    """
    density = keep / (int(heights.sum()) * columns)
    share = math.sqrt(density)
    rows = [max(1, round(share * int(height))) for height in heights]
    if sum(rows) * columns < keep:
        rows = [max(1, math.ceil(density * int(height))) for height in heights]
    return rows, min(columns, max(1, round(keep / sum(rows))))


def best_rows(scores: Tensor, rows: list[int], tile: TileShape) -> Tensor:
    """The best `rows[t]` filters of every tile t by `scores` [M]: bool [M]; equal scores by position."""
    kept = torch.zeros(len(scores), dtype=torch.bool)
    for index, count in enumerate(rows):
        first = index * tile.rows
        order = scores[first : first + tile.rows].sort(descending=True, stable=True).indices
        kept[first + order[:count]] = True
    return kept


@dataclass(frozen=True)
class Blocks:
    """Each tile keeps the product of some of its rows and some of its columns."""

    name: str = "block"
    title: str = "Blocks (rows and columns)"
    label: str = "block"
    description: str = "Drops both rows and columns of each tile, the same share of either. [baseline, after BLK-REW; our definition]"
    changes_shapes: bool = False

    def prune(self, task: Task) -> Outcome:
        tile = TileShape(task.spec.tile)
        fitting, kept_dense = split_scope(task)
        pool = task.book.columns(tile).only({layer.name for layer in fitting})
        budgets = allocate(task, pool, task.spec.ratio)
        plans = tuple(
            self._layer(task, layer, pool, budgets[layer.name])
            if layer.name in budgets
            else whole_layer(layer, tile)
            for layer in task.layers
        )
        return Outcome(plans, kept_dense)

    def _layer(self, task: Task, layer: LayerInfo, pool: ScorePool, budget: int) -> LayerPlan:
        scores, tile = pool[layer.name], TileShape(task.spec.tile)
        rows, columns = block_sides(scores.weights, layer.columns, budget)
        kept_rows = best_rows(task.book.filters[layer.name].values[:, 0], rows, tile)
        mask = Mask(scores.best(columns), kept_rows, tile)
        return LayerPlan(layer.name, (layer.rows, layer.columns), layer_target(scores, budget), mask)


BLOCKS = Blocks()
