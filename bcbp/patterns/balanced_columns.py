"""BCBP: balanced column-wise block pruning, in the three steps of the paper (Park et al., AAAI 2023).

The names and purposes of the steps are the paper's; the formulas are the most defensible reading (ours).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from bcbp.geometry import LayerInfo, TileShape
from bcbp.mask import Mask
from bcbp.patterns.base import (
    Outcome,
    Task,
    allocate,
    arrange,
    imbalance,
    layer_target,
    split_scope,
    whole_layer,
)
from bcbp.plan import LayerPlan
from bcbp.scores import ScorePool, UnitScores


@dataclass(frozen=True)
class Quota:
    """What step 1 leaves of a layer: `weights` to keep, before they are made whole columns.

    Columns per tile come in multiples of `k_step`, or all K. A slab is k_step columns of all tiles.
    """

    filters: int
    columns: int
    weights: int
    k_step: int

    @property
    def k(self) -> int:
        """Kept columns per tile, rounded up to the next multiple: K - floor(rho K) for k_step 1."""
        slabs = max(1, -(-self.weights // (self.filters * self.k_step)))
        return min(self.columns, slabs * self.k_step)

    @property
    def lower(self) -> int:
        """The multiple below `k`; 0 if there is none."""
        return (self.k - 1) // self.k_step * self.k_step

    @property
    def slab(self) -> int:
        """Weights between `k` and `lower`."""
        return (self.k - self.lower) * self.filters

    @property
    def excess(self) -> int:
        """Weights that rounding up keeps beyond the quota."""
        return self.k * self.filters - self.weights


def pre_prune(scores: UnitScores, budget: int) -> Tensor:
    """Step 1, vector-wise tile pre-pruning: columns each tile has among the layer's best, int64 [tiles]."""
    return scores.count(budget)


def recalibrate(counts: Tensor, heights: Tensor, reduction: str) -> int:
    """Step 2, pruning-ratio recalibration: weights the layer keeps once its tiles share one ratio.

    `mean` weighs tiles by their rows and preserves the budget; `min` takes the lowest ratio of a tile, `max`
    the highest.

    >>> import torch
    >>> counts, heights = torch.tensor([4, 2]), torch.tensor([32, 32])
    >>> [recalibrate(counts, heights, how) for how in ("mean", "min", "max")]
    [192, 256, 128]
    """
    filters = int(heights.sum())
    if reduction == "min":
        return int(counts.max()) * filters
    if reduction == "max":
        return int(counts.min()) * filters
    return int((counts * heights).sum())


def repair_budget(quotas: Sequence[Quota]) -> list[int]:
    """Columns per tile of each layer such that all together keep their budget, by largest remainder.

    Starts from every quota rounded up and takes back slabs, first where rounding added the largest share of
    one, as long as the sum of quotas stays kept: what is left over is less than any slab not yet taken.

    >>> repair_budget([Quota(1, 10, 5, 2), Quota(1, 10, 5, 2), Quota(1, 10, 4, 2)])
    [4, 6, 4]
    """
    columns = [quota.k for quota in quotas]
    spare = sum(quota.excess for quota in quotas)
    by_share = sorted(range(len(quotas)), key=lambda i: quotas[i].excess / quotas[i].slab, reverse=True)
    for index in by_share:
        quota = quotas[index]
        if quota.lower and quota.excess > 0 and quota.slab <= spare:
            columns[index] = quota.lower
            spare -= quota.slab
    return columns


@dataclass(frozen=True)
class BalancedColumns:
    """Every tile of a layer keeps the same number of columns, each its own best."""

    name: str = "bcbp"
    title: str = "BCBP (balanced columns)"
    label: str = "BCBP"
    description: str = (
        "Each tile of V filters drops its own weakest columns, the same number in every tile, so that no "
        "tile waits for another. [paper: the unit, the balance, the three steps; ours: the formulas]"
    )
    changes_shapes: bool = False
    fixed_ratio: float | None = None
    no_permutation: str = ""

    def prune(self, task: Task) -> Outcome:
        tile = TileShape(task.spec.tile, task.spec.k_step)
        fitting, kept_dense = split_scope(task, tile)
        pool = task.book.columns(tile).only({layer.name for layer in fitting})
        budgets = allocate(task, pool, task.spec.ratio)
        counts = {name: pre_prune(pool[name], budgets[name]) for name in budgets}  # step 1
        columns = self._columns(task, pool, budgets=budgets, counts=counts)  # step 2
        plans = []
        for layer in task.layers:
            if layer.name not in columns:
                plans.append(whole_layer(layer, tile))
                continue
            plans.append(self._layer(task, layer, pool[layer.name], budgets[layer.name], columns[layer.name]))
        return Outcome(tuple(plans), kept_dense)

    def _layer(self, task: Task, layer: LayerInfo, scores: UnitScores, budget: int, k: int) -> LayerPlan:
        """Step 3. Tiles of permuted filters have counts of their own before balancing."""
        tile = TileShape(task.spec.tile, task.spec.k_step)

        def keep(scores: UnitScores, order: Tensor) -> Mask:
            return Mask.of_columns(scores.best(k), order, tile)

        found = arrange(task, layer, scores, tile=tile, k=k, make=keep)
        return found.plan(layer_target(scores, budget), imbalance(pre_prune(found.scores, budget)))

    def _columns(
        self, task: Task, pool: ScorePool, *, budgets: dict[str, int], counts: dict[str, Tensor]
    ) -> dict[str, int]:
        """Columns that every tile of a layer keeps: fixed ratios as asked, the others repaired together."""
        quotas = {}
        for scores in pool.layers:
            weights = budgets[scores.name]
            if scores.name not in task.fixed:
                weights = recalibrate(counts[scores.name], scores.weights, task.spec.reduction)
            filters, columns = int(scores.weights.sum()), scores.values.shape[1]
            quotas[scores.name] = Quota(filters, columns, weights, task.spec.k_step)
        free = [name for name in quotas if name not in task.fixed]
        repaired = repair_budget([quotas[name] for name in free])
        return {name: quota.k for name, quota in quotas.items()} | dict(zip(free, repaired, strict=True))


BALANCED_COLUMNS = BalancedColumns()
