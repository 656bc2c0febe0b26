"""What an allocation is, and the one place where a ratio becomes a number of weights."""

from __future__ import annotations

import math
from typing import Protocol

from bcbp.scores import ScorePool
from bcbp.table import Entry
from bcbp.task import Task

# A layer that keeps less than this share of the asked density cuts the signal: removing a whole layer is not
# what was asked. Ours; at ratio 0.5 no layer goes below 5 % of its weights.
FLOOR_SHARE = 0.1


def weights_kept(total: int, ratio: float) -> int:
    """`total - floor(ratio * total)`: k = K - floor(rho K) in weights.

    >>> weights_kept(577, 0.5), weights_kept(100, 0.29)
    (289, 71)
    """
    return total - math.floor(round(ratio * total, 6))  # 0.29 * 100 is 28.999999999999996 in floats


class Allocation(Entry, Protocol):
    """Spreads one ratio over the layers of a pool. Layers whose ratio a person fixed are not in the pool.

    `follows_ratio` is False where the overall ratio is an outcome and not asked for. `reads` names what of
    `bcbp.measured` it goes by: SCAN, TIMES.
    """

    @property
    def follows_ratio(self) -> bool: ...

    @property
    def reads(self) -> tuple[str, ...]: ...

    def budgets(self, task: Task, pool: ScorePool, ratio: float) -> dict[str, int]:
        """Weights that each layer keeps, for `ratio` in [0, 1)."""
        ...
