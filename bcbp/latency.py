"""The ratio of every layer under a latency budget: the least sum of losses whose measured times fit.

min Σ D_l(ρ_l) subject to Σ T_l(ρ_l) <= T*. T_l are a device's measured times, the best dense time among them,
so a layer where sparse does not win stays dense by itself. D_l are losses (see `bcbp.losses`). [ours]
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from bcbp.errors import SpecError
from bcbp.geometry import LayerInfo, TileShape
from bcbp.knapsack import Choice, Menu, OverBudgetError, choose
from bcbp.losses import ACCURACY, Losses
from bcbp.measured import Measured
from bcbp.plan import Forecast
from bcbp.scores import ScoreBook
from bcbp.spec import PruneSpec

NO_TIMES = (
    "Expected measured times of this model's layers in tiles of {tile} filters at batch {batch}; there are "
    "none for this device. Measure it on the Device page, or with `python -m bcbp device --measure`."
)


@dataclass(frozen=True)
class Decision:
    """The ratio of every layer that was free to choose, and what the network is then expected to take."""

    ratios: Mapping[str, float]
    forecast: Forecast
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Reach:
    """The budgets that can be met: from `least_ms`, every layer at its fastest, to `dense_ms`."""

    least_ms: float
    dense_ms: float


def decide(
    book: ScoreBook, layers: tuple[LayerInfo, ...], *, spec: PruneSpec, measured: Measured
) -> Decision:
    """The best choice under the budget of `spec` for the `layers` in scope. Raises SpecError."""
    if spec.budget_ms is None:
        raise SpecError("Expected a latency budget in milliseconds; got none. Set budget_ms.")
    table = _Table(book, layers, spec=spec, measured=measured)
    try:
        choice = table.choose(spec.budget_ms)
    except OverBudgetError as error:
        least = f"{error.least + table.settled:.4g}"
        raise SpecError(
            f"Expected a latency budget of at least {least} ms, with all layers at their fastest measured "
            f"ratios; got {spec.budget_ms:g} ms. Raise it, or unlock layers."
        ) from error
    return table.decision(choice)


def reach(book: ScoreBook, layers: tuple[LayerInfo, ...], *, spec: PruneSpec, measured: Measured) -> Reach:
    """Which budgets `decide` can keep. Raises SpecError where nothing was measured."""
    table = _Table(book, layers, spec=spec, measured=measured)
    dense = table.settled + sum(float(menu.costs[0]) for menu in table.menus.values())
    return Reach(table.settled + sum(float(menu.costs.min()) for menu in table.menus.values()), dense)


class _Table:
    """The options of every layer. `menus` are those of the layers that are free, dense first, then `ratios`.

    `settled` is the time of all other measured layers, in ms; `why` says of each why it is not free.
    """

    def __init__(
        self, book: ScoreBook, layers: tuple[LayerInfo, ...], *, spec: PruneSpec, measured: Measured
    ) -> None:
        times = measured.times
        if times is None or not times.dense:
            raise SpecError(NO_TIMES.format(tile=spec.tile, batch=spec.batch))
        self.spec, self.times = spec, times
        fixed = dict(spec.ratios)
        in_scope = {layer.name: layer for layer in layers}
        free = {
            name
            for name, layer in in_scope.items()
            if name in times.dense and name not in fixed and layer.tile_reason(spec.tile) is None
        }
        pool = book.filters if book.criterion.filters_only else book.columns(TileShape(spec.tile))
        self.losses = Losses(pool.only(free), measured.scan)
        self.ratios: dict[str, np.ndarray] = {}
        self.menus: dict[str, Menu] = {}
        self.why: dict[str, str] = {}
        self.settled = 0.0
        for info in book.model.layers:
            name = info.name
            if name in free and self._offer(name):
                continue
            self.settled += times.dense.get(name, 0.0)
            if name in fixed:
                self._lock(name, fixed[name])
            elif name not in times.dense and name in in_scope:
                self.why[name] = f"stays dense: it is not measured at batch {spec.batch} on this device"
            elif name in free:
                self.why[name] = "stays dense: its loss could not be measured"

    def _offer(self, name: str) -> bool:
        """Make the menu of a free layer; False without a loss to choose by."""
        sparse = self.times.sparse[name]
        ratios = np.array([0.0, *sorted(sparse)])
        lost = self.losses.at(name, ratios)
        if lost is None:
            return False
        costs = np.array([self.times.dense[name], *(sparse[ratio] for ratio in sorted(sparse))])
        self.ratios[name], self.menus[name] = ratios, Menu(costs, lost)
        return True

    def _lock(self, name: str, ratio: float) -> None:
        """Count a locked layer with the fastest time measured at no higher ratio."""
        if name not in self.times.dense:
            self.why[name] = f"is locked at {ratio:.4g}; its time is not measured and not in the sum"
            return
        below = {one: ms for one, ms in self.times.sparse[name].items() if one <= ratio}
        at = min(below, key=lambda one: below[one], default=0.0)
        ms = below.get(at, self.times.dense[name])
        self.settled += ms - self.times.dense[name]
        self.why[name] = f"is locked at {ratio:.4g}: counted with the {_ms(ms)} measured at {at:g}"

    def choose(self, budget: float) -> Choice:
        """Raises OverBudgetError, its `least` without what is settled."""
        return choose(list(self.menus.values()), budget - self.settled)

    def decision(self, choice: Choice) -> Decision:
        picks = dict(zip(self.menus, choice.picks, strict=True))
        forecast = Forecast(
            device=self.times.device,
            batch=self.spec.batch,
            budget_ms=self.spec.budget_ms or 0.0,
            ms=self.settled + choice.cost,
            dense_ms=sum(self.times.dense.values()),
            loss=choice.loss,
            bound=choice.bound,
            loss_of=self.losses.of,
            price=self._price(choice),
            reasons=(*((name, self._reason(name, pick)) for name, pick in picks.items()), *self.why.items()),
        )
        ratios = {name: float(self.ratios[name][pick]) for name, pick in picks.items()}
        return Decision(ratios, forecast, tuple(self._notes()))

    def _notes(self) -> Iterator[str]:
        """What the sum leaves out: the layers that are not measured."""
        fixed = dict(self.spec.ratios)
        for locked, done in ((False, "left dense and"), (True, "pruned as locked, but")):
            names = [one for one in self.why if one not in self.times.dense and (one in fixed) == locked]
            if names:
                yield f"Not measured on this device, so {done} out of the sum: {', '.join(names)}."

    def _price(self, choice: Choice) -> str:
        """What the next step down in time costs, and where."""
        total = self.settled + choice.cost
        step = nice_step(0.05 * total)
        try:
            tighter = self.choose(total - step)
        except OverBudgetError:
            return f"There are no further {_ms(step)} to save: the measured ratios end here."
        names = list(self.menus)
        rises = [
            float(self.menus[name].losses[after] - self.menus[name].losses[before])
            for name, before, after in zip(names, choice.picks, tighter.picks, strict=True)
        ]
        cost = self._loss(max(0.0, tighter.loss - choice.loss))
        return f"The next {_ms(step)} cost about {cost}, mostly in {names[int(np.argmax(rises))]}."

    def _reason(self, name: str, pick: int) -> str:
        """One sentence on what was chosen for a free layer, and what the next option would have been."""
        menu, ratios = self.menus[name], self.ratios[name]
        if len(ratios) == 1:
            return "stays dense: at no measured ratio does sparse clearly beat it"
        faster = np.flatnonzero(menu.costs < menu.costs[pick])
        further = ""
        if len(faster):
            cheapest = faster[menu.losses[faster].argmin()]
            more = self._loss(float(menu.losses[cheapest] - menu.losses[pick]))
            saving = _ms(float(menu.costs[pick] - menu.costs[cheapest]))
            further = f"{ratios[cheapest]:.0%} removed would save {saving} for {more}"
        if pick == 0:
            return f"stays dense: {further or 'its best dense time is below that of every measured ratio'}"
        saved, dense = _ms(float(menu.costs[0] - menu.costs[pick])), _ms(float(menu.costs[0]))
        lost = self._loss(float(menu.losses[pick]))
        done = f"{ratios[pick]:.0%} removed saves {saved} of {dense} for {lost}"
        return f"{done}; {further} more" if further else f"{done}; no measured ratio is faster"

    def _loss(self, loss: float) -> str:
        """A loss in words: points of accuracy, or shares of layers' importance."""
        if self.losses.of == ACCURACY:
            return f"{100 * loss:.2f} points"
        return (
            f"{100 * loss:.1f} % of a layer's importance"
            if loss <= 1
            else f"the importance of {loss:.1f} layers"
        )


def _ms(value: float) -> str:
    return f"{value:.3g} ms"


def nice_step(value: float) -> float:
    """1, 2 or 5 times a power of ten, at most `value` > 0.

    >>> nice_step(0.13), nice_step(4.9)
    (0.1, 2.0)
    """
    power = 10.0 ** math.floor(math.log10(value))
    return float(f"{max(one for one in (1, 2, 5) if one * power <= value * (1 + 1e-9)) * power:.1g}")
