"""Blocks: rows and columns of each tile go (the family of BLK-REW), (1 - rc)(1 - rr) = 1 - r with rc = rr."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from bcbp.geometry import LayerInfo, TileShape
from bcbp.mask import Mask
from bcbp.patterns.base import Outcome, Task, arrange, layer_target, prune_layers
from bcbp.plan import LayerPlan
from bcbp.scores import UnitScores


def block_sides(heights: Tensor, columns: int, keep: int) -> tuple[list[int], int]:
    """Rows kept in each tile, and columns kept in all of them: rows x columns comes nearest `keep` weights.

    Rows are the coarser choice, so they are rounded first and the columns make up for it. A ragged tile
    keeps rows in proportion.

    >>> block_sides(torch.tensor([32, 32]), 100, 3200)
    ([23, 23], 70)
    """
    density = keep / (int(heights.sum()) * columns)
    share = math.sqrt(density)
    rows = [max(1, round(share * int(height))) for height in heights]
    if sum(rows) * columns < keep:
        rows = [max(1, math.ceil(density * int(height))) for height in heights]
    return rows, min(columns, max(1, round(keep / sum(rows))))


def best_rows(filters: UnitScores, rows: list[int], tile: TileShape, order: Tensor) -> Tensor:
    """The best `rows[t]` >= 1 filters of every tile t of `order`: bool [M], in the layer's own order."""
    keys = np.full((len(rows), tile.rows), np.iinfo(np.uint64).max, np.uint64)
    keys.ravel()[: filters.keys.size] = filters.keys[order.numpy(), 0]
    last = np.sort(keys, axis=1)[np.arange(len(rows)), np.array(rows) - 1]
    kept = torch.from_numpy((keys <= last[:, None]).ravel()[: filters.keys.size])
    return kept[order.argsort()]


@dataclass(frozen=True)
class Blocks:
    """Each tile keeps the product of some of its rows and some of its columns."""

    name: str = "block"
    title: str = "Blocks (rows and columns)"
    label: str = "block"
    description: str = (
        "Drops both rows and columns of each tile, the same share of either. "
        "[baseline, after BLK-REW; our definition]"
    )
    changes_shapes: bool = False
    fixed_ratio: float | None = None
    no_permutation: str = ""

    def prune(self, task: Task) -> Outcome:
        return prune_layers(task, TileShape(task.spec.tile), lambda *layer: self._layer(task, *layer))

    def _layer(self, task: Task, layer: LayerInfo, scores: UnitScores, budget: int) -> LayerPlan:
        tile = TileShape(task.spec.tile)
        rows, columns = block_sides(scores.weights, layer.columns, budget)
        filters = task.book.filters[layer.name]

        def keep(scores: UnitScores, order: Tensor) -> Mask:
            return Mask(scores.best(columns), best_rows(filters, rows, tile, order), tile, order)

        found = arrange(task, layer, scores, tile=tile, k=columns, make=keep)
        return found.plan(layer_target(scores, budget))


BLOCKS = Blocks()
