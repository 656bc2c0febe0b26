"""One threshold over all scores of the network: sensitive layers keep more."""

from __future__ import annotations

import math
from dataclasses import dataclass

from bcbp.allocation.base import FLOOR_SHARE, weights_kept
from bcbp.scores import ScorePool
from bcbp.task import Task


@dataclass(frozen=True)
class GlobalThreshold:
    name: str = "global"
    title: str = "Global threshold"
    description: str = (
        "One threshold over the scores of the whole network removes the asked share of weights, so layers "
        "differ. [paper: the scope of step 1; our definition: the threshold itself, and that no layer keeps "
        "less than a tenth of the asked density]"
    )
    follows_ratio: bool = True
    reads: tuple[str, ...] = ()

    def budgets(self, task: Task, pool: ScorePool, ratio: float) -> dict[str, int]:
        floors = {layer.name: math.ceil(FLOOR_SHARE * (1 - ratio) * layer.total) for layer in pool.layers}
        return pool.split(weights_kept(sum(layer.total for layer in pool.layers), ratio), floors)


GLOBAL = GlobalThreshold()
