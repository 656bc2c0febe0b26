"""One threshold over all scores of the network: sensitive layers keep more."""

from __future__ import annotations

import math
from dataclasses import dataclass

from bcbp.allocation.base import weights_kept
from bcbp.scores import ScorePool

# A layer that keeps less than this share of the asked density cuts the signal: removing a whole layer is not
# what was asked. Ours; at ratio 0.5 no layer goes below 5 % of its weights.
FLOOR_SHARE = 0.1


@dataclass(frozen=True)
class GlobalThreshold:
    name: str = "global"
    title: str = "Global threshold"
    description: str = (
        "One threshold over the scores of the whole network removes the asked share of weights, so layers "
        "differ. [paper: the scope of step 1; our definition: the threshold itself, and that no layer keeps "
        "less than a tenth of the asked density]"
    )

    def budgets(self, pool: ScorePool, ratio: float) -> dict[str, int]:
        floors = {layer.name: math.ceil(FLOOR_SHARE * (1 - ratio) * layer.total) for layer in pool.layers}
        return pool.split(weights_kept(sum(layer.total for layer in pool.layers), ratio), floors)


GLOBAL = GlobalThreshold()
