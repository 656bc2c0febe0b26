"""The multiple-choice knapsack: one option a menu, the least sum of losses within a budget of cost.

A Lagrangian bound first (Everett 1963), then sums that no other beats (Nemhauser and Ullmann 1969), without
those that by the bound cannot lead to less loss than what is known. Exact unless `gap` says otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

# Sums kept from menu to menu: more than any network here needs, few enough to answer at once.
MOST_SUMS = 4_000
_HALVINGS = 60
_ROUNDING = 1e-9  # of the budget: the same sum in another order


class OverBudgetError(ValueError):
    """Even the cheapest options together, of cost `least`, are beyond the budget."""

    def __init__(self, least: float, budget: float) -> None:
        super().__init__(f"expected a budget of at least {least:.6g}, got {budget:.6g}")
        self.least = least


@dataclass(frozen=True, eq=False)
class Menu:
    """The options of one layer: `costs` and `losses`, float64 [options], none negative."""

    costs: np.ndarray
    losses: np.ndarray


@dataclass(frozen=True)
class Choice:
    """One option a menu, by index. No choice within the budget loses less than `bound`."""

    picks: tuple[int, ...]
    cost: float
    loss: float
    bound: float

    @property
    def gap(self) -> float:
        """What the best choice could lose less; 0 where this is the best."""
        return max(0.0, self.loss - self.bound)


def choose(menus: Sequence[Menu], budget: float, *, most_sums: int = MOST_SUMS) -> Choice:
    """The choice of least loss with a cost of at most `budget`. Raises OverBudgetError.

    >>> menus = [Menu(np.array([4, 2]), np.array([0, 1])), Menu(np.array([4, 1]), np.array([0, 5]))]
    >>> choose(menus, 6).picks
    (1, 0)
    """
    least = sum(float(menu.costs.min()) for menu in menus)
    allowed = budget + _ROUNDING * max(abs(budget), least)
    if least > allowed:
        raise OverBudgetError(least, budget)
    if not menus:
        return Choice((), 0.0, 0.0, 0.0)
    problem = _Problem(menus, allowed)
    picks, exact = problem.solve(most_sums)
    cost, loss = _sums(menus, picks)
    return Choice(picks, cost, loss, loss if exact else min(loss, problem.bound))


def naive_choose(menus: Sequence[Menu], budget: float) -> Choice:
    """The slow twin of `choose`: every combination."""
    sums = [(*_sums(menus, picks), picks) for picks in product(*(range(len(menu.costs)) for menu in menus))]
    within = [(loss, cost, picks) for cost, loss, picks in sums if cost <= budget]
    if not within:
        raise OverBudgetError(min(cost for cost, _, _ in sums), budget)
    loss, cost, picks = min(within)
    return Choice(picks, cost, loss, loss)


def _sums(menus: Sequence[Menu], picks: Sequence[int]) -> tuple[float, float]:
    """Cost and loss of one option a menu."""
    chosen = list(zip(menus, picks, strict=True))
    return sum(float(menu.costs[pick]) for menu, pick in chosen), sum(
        float(menu.losses[pick]) for menu, pick in chosen
    )


class _Problem:
    """The menus side by side, float64 [menus, options], options by rising cost, short menus padded.

    Under a `price` of cost every menu decides alone. `bound` is then the least loss of any choice that fits.
    """

    def __init__(self, menus: Sequence[Menu], budget: float) -> None:
        self._order = [np.lexsort((menu.losses, menu.costs)) for menu in menus]
        width = max(map(len, self._order))
        self._costs, self._losses = np.zeros((len(menus), width)), np.full((len(menus), width), np.inf)
        for row, (menu, order) in enumerate(zip(menus, self._order, strict=True)):
            self._costs[row, : len(order)] = menu.costs[order]
            self._losses[row, : len(order)] = menu.losses[order]
        self._rows, self._budget = np.arange(len(menus)), budget
        self._price = 0.0
        self._best = np.zeros(len(menus), np.int64)  # the cheapest options
        self.bound = 0.0

    def solve(self, most_sums: int) -> tuple[tuple[int, ...], bool]:
        """The picks, and whether they are certainly the best."""
        self._set_price()
        self._improve()
        picks, exact = self._search(most_sums)
        return tuple(int(order[pick]) for order, pick in zip(self._order, picks, strict=True)), exact

    def _set_price(self) -> None:
        """The lowest price at which the menus' own choices fit, by bisection; the best seen on the way."""
        if self._fits(0.0):
            return
        low, high = 0.0, self._losses[np.isfinite(self._losses)].max() / self._costs.max() or 1.0
        while not self._fits(high):
            low, high = high, 2 * high
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            low, high = (low, middle) if self._fits(middle) else (middle, high)

    def _fits(self, price: float) -> bool:
        """Whether the choices at that price fit the budget; keeps them, and their bound, where better."""
        reduced = self._losses + price * self._costs
        picks = reduced.argmin(1)
        bound = float(reduced[self._rows, picks].sum()) - price * self._budget
        if bound >= self.bound:
            self.bound, self._price = bound, price
        fits = self._costs[self._rows, picks].sum() <= self._budget
        if fits and self._loss(picks) < self._loss(self._best):
            self._best = picks
        return bool(fits)

    def _loss(self, picks: np.ndarray) -> float:
        return float(self._losses[self._rows, picks].sum())

    def _improve(self) -> None:
        """Spend what is left of the budget, each time where it saves most loss."""
        while True:
            spare = self._budget - self._costs[self._rows, self._best].sum()
            extra = self._costs - self._costs[self._rows, self._best][:, None]
            saved = self._losses[self._rows, self._best][:, None] - self._losses
            saved[extra > spare] = 0
            row, pick = np.unravel_index(saved.argmax(), saved.shape)
            if saved[row, pick] <= 0:
                return
            self._best = self._best.copy()
            self._best[row] = pick

    def _search(self, most_sums: int) -> tuple[np.ndarray, bool]:
        """Menu by menu all sums that can still lead to less loss than the best known choice."""
        reduced = self._losses + self._price * self._costs
        excess = reduced - reduced.min(1)[:, None]  # what an option loses against its menu's own choice
        known = self._loss(self._best)
        allowed = known - self.bound + 1e-12 * max(1.0, known)
        rest = np.append(np.cumsum(self._costs[::-1, 0])[::-1], 0.0)  # least cost of the menus from here on
        sums, steps, exact = np.zeros((3, 1)), [], True  # cost, loss and excess of each sum
        for row in self._rows:
            options = np.flatnonzero(excess[row] <= allowed)
            added = np.stack([self._costs[row], self._losses[row], excess[row]])[:, options]
            every = (sums[:, :, None] + added[:, None, :]).reshape(3, -1)
            fit = (every[0] + rest[row + 1] <= self._budget) & (every[2] <= allowed)
            kept = _undominated(every, np.flatnonzero(fit))
            if len(kept) > most_sums:
                kept, exact = kept[np.argsort(every[2, kept])[:most_sums]], False
            if not len(kept):  # rounding alone can lose the best known choice
                return self._best, exact
            steps.append((kept // len(options), options[kept % len(options)]))
            sums = every[:, kept]
        last = int(sums[1].argmin())
        if sums[1, last] >= known:
            return self._best, exact
        picks = np.zeros_like(self._best)
        for row in reversed(self._rows):
            parents, options = steps[row]
            picks[row], last = options[last], parents[last]
        return picks, exact


def _undominated(sums: np.ndarray, among: np.ndarray) -> np.ndarray:
    """Those of `among` for which no other costs no more and loses no more."""
    order = among[np.lexsort((sums[1, among], sums[0, among]))]
    losses = sums[1, order]
    before = np.minimum.accumulate(np.append(np.inf, losses))[:-1]
    return order[losses < before]
