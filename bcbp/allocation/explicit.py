"""Only the layers that were given a ratio are pruned."""

from __future__ import annotations

from dataclasses import dataclass

from bcbp.scores import ScorePool
from bcbp.task import Task


@dataclass(frozen=True)
class ExplicitAllocation:
    """The named ratios never reach an allocation (they are fixed); what is left here keeps everything."""

    name: str = "explicit"
    title: str = "Explicit, per layer"
    description: str = (
        "Each layer that is given a ratio loses it; all others stay whole, and the overall ratio follows. "
        "[our definition]"
    )
    follows_ratio: bool = False
    reads: tuple[str, ...] = ()

    def budgets(self, task: Task, pool: ScorePool, ratio: float) -> dict[str, int]:
        return {layer.name: layer.total for layer in pool.layers}


EXPLICIT = ExplicitAllocation()
