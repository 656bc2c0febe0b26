"""Single weights anywhere: the accuracy that no structured pattern should hope to beat. It is not faster."""

from __future__ import annotations

from dataclasses import dataclass

from bcbp.geometry import TileShape
from bcbp.mask import Mask
from bcbp.patterns.base import Outcome, Task, allocate, layer_target
from bcbp.plan import LayerPlan


@dataclass(frozen=True)
class Elementwise:
    """Tiles of one row, unbalanced: every weight stands for itself."""

    name: str = "unstructured"
    title: str = "Single weights (accuracy reference)"
    label: str = "unstructured"
    description: str = (
        "Drops single weights wherever they are smallest. An accuracy reference: no engine here runs it "
        "faster than dense. [baseline, not of the paper]"
    )
    changes_shapes: bool = False

    def prune(self, task: Task) -> Outcome:
        tile = TileShape(1)
        pool = task.book.columns(tile).only({layer.name for layer in task.layers})
        budgets = allocate(task, pool, task.spec.ratio)
        plans = []
        for layer in task.layers:
            scores, budget = pool[layer.name], budgets[layer.name]
            mask = Mask.of_columns(scores.select(budget), layer.rows, tile)
            target = layer_target(scores, budget)
            plans.append(LayerPlan(layer.name, (layer.rows, layer.columns), target, mask, mask.wit))
        return Outcome(tuple(plans))


ELEMENTWISE = Elementwise()
