"""Unbalanced columns: step 1 of BCBP alone. Its ablation, and the control for the imbalance of tiles."""

from __future__ import annotations

from dataclasses import dataclass

from bcbp.geometry import TileShape
from bcbp.patterns.base import Outcome, Task, prune_unbalanced


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
    fixed_ratio: float | None = None
    no_permutation: str = ""

    def prune(self, task: Task) -> Outcome:
        return prune_unbalanced(task, TileShape(task.spec.tile))


COLUMNS = Columns()
