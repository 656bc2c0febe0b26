"""Each layer's ratio follows from a latency budget."""

from __future__ import annotations

from dataclasses import dataclass

from bcbp.allocation.base import weights_kept
from bcbp.measured import SCAN, TIMES
from bcbp.scores import ScorePool
from bcbp.task import Task


@dataclass(frozen=True)
class LatencyAllocation:
    """The ratios are those of BCBP, whose times were measured; every other pattern gets the same."""

    name: str = "latency"
    title: str = "Latency target"
    description: str = (
        "The least loss whose measured layer times fit a budget; the ratio follows. Layers where sparse does "
        "not win, or that were not measured, stay dense. [our definition]"
    )
    follows_ratio: bool = False
    reads: tuple[str, ...] = (SCAN, TIMES)

    def budgets(self, task: Task, pool: ScorePool, ratio: float) -> dict[str, int]:
        ratios = task.decision.ratios
        return {layer.name: weights_kept(layer.total, ratios.get(layer.name, 0.0)) for layer in pool.layers}


LATENCY = LatencyAllocation()
