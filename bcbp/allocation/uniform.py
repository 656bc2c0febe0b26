"""The same ratio for every layer."""

from __future__ import annotations

from dataclasses import dataclass

from bcbp.allocation.base import weights_kept
from bcbp.scores import ScorePool
from bcbp.task import Task


@dataclass(frozen=True)
class UniformAllocation:
    name: str = "uniform"
    title: str = "Uniform"
    description: str = (
        "Every layer loses the asked ratio; the threshold of step 1 is found inside each layer. "
        "[our definition; the default here]"
    )
    follows_ratio: bool = True
    reads: tuple[str, ...] = ()

    def budgets(self, task: Task, pool: ScorePool, ratio: float) -> dict[str, int]:
        return {layer.name: weights_kept(layer.total, ratio) for layer in pool.layers}


UNIFORM = UniformAllocation()
