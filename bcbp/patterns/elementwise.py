"""Single weights anywhere: the accuracy that no structured pattern should hope to beat. It is not faster."""

from __future__ import annotations

from dataclasses import dataclass

from bcbp.geometry import TileShape
from bcbp.patterns.base import Outcome, Task, prune_unbalanced


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
    fixed_ratio: float | None = None
    no_permutation: str = "every filter chooses its own weights"

    def prune(self, task: Task) -> Outcome:
        return prune_unbalanced(task, TileShape(1))


ELEMENTWISE = Elementwise()
