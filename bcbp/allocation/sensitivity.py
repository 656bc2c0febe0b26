"""The ratio is spread so that the layers' losses add up to least."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from bcbp.allocation.base import FLOOR_SHARE, weights_kept
from bcbp.knapsack import Menu, choose
from bcbp.losses import Losses
from bcbp.measured import SCAN
from bcbp.scores import ScorePool
from bcbp.task import Task

# Ratios per layer to choose from, and sums looked at: finer steps change no layer by more than they show.
_STEPS, _MOST_SUMS = 32, 500


@dataclass(frozen=True)
class SensitivityAllocation:
    name: str = "sensitivity"
    title: str = "Least loss"
    description: str = (
        "Layers that lose little give more, so that the sum of losses is least at the asked ratio: those of "
        "a sensitivity scan, or of importance where there is none. [our definition]"
    )
    follows_ratio: bool = True
    reads: tuple[str, ...] = (SCAN,)

    def budgets(self, task: Task, pool: ScorePool, ratio: float) -> dict[str, int]:
        known = Losses(pool, task.measured.scan)
        ratios = np.linspace(0.0, 1 - FLOOR_SHARE * (1 - ratio), _STEPS + 1)
        menus = {}
        for layer in pool.layers:
            lost = known.at(layer.name, ratios)
            if lost is not None:
                kept = np.array([math.ceil(round((1 - one) * layer.total, 6)) for one in ratios])
                menus[layer.name] = Menu(kept, lost)
        whole = {layer.name: layer.total for layer in pool.layers if layer.name not in menus}
        budget = weights_kept(sum(layer.total for layer in pool.layers), ratio) - sum(whole.values())
        least = sum(int(menu.costs.min()) for menu in menus.values())
        chosen = choose(list(menus.values()), max(budget, least), most_sums=_MOST_SUMS)
        picks = dict(zip(menus, chosen.picks, strict=True))
        return whole | _spend(menus, picks, max(0, budget - int(chosen.cost)))


def _spend(menus: dict[str, Menu], picks: dict[str, int], spare: int) -> dict[str, int]:
    """Weights kept by each pick, and what is left of the budget by the layers that it saves most."""
    kept = {name: int(menu.costs[picks[name]]) for name, menu in menus.items()}

    def saves(name: str) -> float:
        menu, pick = menus[name], picks[name]
        if pick == 0:
            return 0.0
        return float((menu.losses[pick] - menu.losses[pick - 1]) / (menu.costs[pick - 1] - menu.costs[pick]))

    for name in sorted(menus, key=saves, reverse=True):
        room = int(menus[name].costs[max(picks[name] - 1, 0)]) - kept[name]
        added = min(spare, room)
        kept[name], spare = kept[name] + added, spare - added
    return kept


SENSITIVITY = SensitivityAllocation()
