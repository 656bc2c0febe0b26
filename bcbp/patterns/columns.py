"""Unbalanced columns: step 1 of BCBP alone. Its ablation, and the control for the imbalance of tiles."""

from __future__ import annotations

from dataclasses import dataclass

from bcbp.geometry import LayerInfo, TileShape
from bcbp.mask import Mask
from bcbp.patterns.base import Outcome, Task, layer_target, prune_layers
from bcbp.plan import LayerPlan
from bcbp.scores import UnitScores


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
        return prune_layers(task, lambda *layer: self._layer(tile, *layer))

    def _layer(self, tile: TileShape, layer: LayerInfo, scores: UnitScores, budget: int) -> LayerPlan:
        mask = Mask.of_columns(scores.select(budget), layer.rows, tile)
        target = layer_target(scores, budget)
        return LayerPlan(layer.name, (layer.rows, layer.columns), target, mask, mask.wit)


COLUMNS = Columns()
