"""Unbalanced columns: step 1 of BCBP alone. Its ablation, and the control for the imbalance of tiles."""

from __future__ import annotations

from dataclasses import dataclass

from bcbp.geometry import TileShape
from bcbp.mask import Mask
from bcbp.patterns.base import Outcome, Task, allocate, layer_target, split_scope, whole_layer
from bcbp.plan import LayerPlan


@dataclass(frozen=True)
class Columns:
    """The best columns of a layer wherever they lie, so tiles keep different numbers of them."""

    name: str = "column"
    title: str = "Columns, unbalanced"
    label: str = "column"
    description: str = (
        "Drops the weakest columns of all tiles by one threshold, so that tiles keep different numbers. "
        "[paper: what step 1 alone leaves; shown as BCBP's control]"
    )
    changes_shapes: bool = False

    def prune(self, task: Task) -> Outcome:
        tile = TileShape(task.spec.tile)
        fitting, kept_dense = split_scope(task)
        pool = task.book.columns(tile).only({layer.name for layer in fitting})
        budgets = allocate(task, pool, task.spec.ratio)
        plans = []
        for layer in task.layers:
            if layer.name not in budgets:
                plans.append(whole_layer(layer, tile))
                continue
            scores, budget = pool[layer.name], budgets[layer.name]
            mask = Mask.of_columns(scores.select(budget), layer.rows, tile)
            target = layer_target(scores, budget)
            plans.append(LayerPlan(layer.name, (layer.rows, layer.columns), target, mask, mask.wit))
        return Outcome(tuple(plans), kept_dense)


COLUMNS = Columns()
