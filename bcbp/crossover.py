"""Where pruning pays on a device: layer x ratio x batch, and the ratio from which on it does.

Both follow from a passport's verdicts alone. A layer of a model is found by its geometry and input plane, so
its name and its network do not matter. Nothing is interpolated: between two measured ratios there is no
interval, so there is no verdict.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bcbp.intake.model import LoadedModel
from bcbp.passport import PATTERN, MeasuredLayer, Passport, Place
from kernels.layers import LayerShape, named
from kernels.measure import BETTER, CANNOT_TELL, WORSE

WINS, LOSES, UNCLEAR = "sparse wins", "sparse loses", "cannot tell"
DECLINED, NOT_MEASURED = "cannot run", "not measured"
_STATES = {BETTER: WINS, WORSE: LOSES, CANNOT_TELL: UNCLEAR}


@dataclass(frozen=True)
class Slice:
    """What of a passport is looked at: tiles of `tile` filters (fewer in smaller layers) and a `dtype`."""

    tile: int
    dtype: str


@dataclass(frozen=True)
class Spot:
    """One cell of the map; `row` is None where nothing was measured."""

    state: str
    row: MeasuredLayer | None


@dataclass(frozen=True)
class BreakEven:
    """`ratio` is the smallest measured one from which on, up to `highest`, sparse wins by verdict.

    `ratio` None: none up to `highest`, for the `reason` if the engine cannot run the layer; where it is
    `unclear`, the clock could not tell at `highest` itself. `highest` None: not measured.
    """

    ratio: float | None
    highest: float | None
    reason: str = ""
    unclear: bool = False


class CrossoverMap:
    """The verdicts of one slice of a passport."""

    def __init__(self, passport: Passport, chosen: Slice) -> None:
        self._rows: dict[tuple[Place, int], dict[float, MeasuredLayer]] = {}
        self._dense: dict[tuple[Place, int], float] = {}
        for measured in passport:
            row, tile = measured.row, min(chosen.tile, measured.shape.geometry.rows)
            if (row.tile, row.dtype) != (tile, chosen.dtype):
                continue
            at = (measured.shape.place, row.batch)
            if row.pattern == PATTERN:
                self._rows.setdefault(at, {})[row.ratio] = measured
            elif row.median_ms is not None and row.pattern == row.yardstick:
                self._dense[at] = min(row.median_ms, self._dense.get(at, row.median_ms))

    @property
    def places(self) -> frozenset[Place]:
        """Every layer that was measured in this slice, at whatever batch size."""
        return frozenset(place for place, _ in self._rows)

    def spot(self, place: Place, batch: int, ratio: float) -> Spot:
        """What is known of a layer at a batch size and ratio."""
        measured = self._rows.get((place, batch), {}).get(ratio)
        return Spot(NOT_MEASURED if measured is None else _state(measured), measured)

    def break_even(self, place: Place, batch: int) -> BreakEven:
        rows = self._rows.get((place, batch))
        if not rows:
            return BreakEven(None, None)
        return break_even({ratio: _state(measured) for ratio, measured in rows.items()}, _reason(rows))

    def dense_ms(self, place: Place, batch: int) -> float | None:
        """Milliseconds of the best dense form, the least of its sessions."""
        return self._dense.get((place, batch))

    def batches(self, places: Iterable[Place]) -> tuple[int, ...]:
        """Batch sizes at which any of the layers was measured, ascending."""
        wanted = set(places)
        return tuple(sorted({batch for place, batch in self._rows if place in wanted}))

    def ratios(self, places: Iterable[Place]) -> tuple[float, ...]:
        """Ratios at which any of the layers was measured, at whatever batch size, ascending."""
        wanted = set(places)
        found = {ratio for (place, _), rows in self._rows.items() if place in wanted for ratio in rows}
        return tuple(sorted(found))


def _state(measured: MeasuredLayer) -> str:
    return DECLINED if measured.row.verdict is None else _STATES[measured.row.verdict]


def _reason(rows: Mapping[float, MeasuredLayer]) -> str:
    """Why the engine declined the layer at its highest ratio; empty if it ran."""
    row = rows[max(rows)].row
    return row.note if row.verdict is None else ""


def break_even(states: Mapping[float, str], reason: str = "") -> BreakEven:
    """The break-even of one layer from its state at each measured ratio.

    >>> break_even({0.25: LOSES, 0.5: WINS, 0.75: WINS}).ratio
    0.5
    >>> break_even({0.25: WINS, 0.5: UNCLEAR})
    BreakEven(ratio=None, highest=0.5, reason='', unclear=True)
    """
    if not states:
        return BreakEven(None, None)
    found: float | None = None
    for ratio in sorted(states, reverse=True):
        if states[ratio] != WINS:
            break
        found = ratio
    highest = max(states)
    return BreakEven(found, highest, reason, states[highest] == UNCLEAR)


def slices(passport: Passport, places: Iterable[Place]) -> tuple[Slice, ...]:
    """The slices in which any of the layers was measured, by dtype and tile.

    A layer with fewer filters than the tile is measured in one tile of its own; such rows alone stand for
    the widest of them.
    """
    wanted = set(places)
    tiles: dict[str, set[int]] = {}
    clipped: dict[str, set[int]] = {}
    for one in passport:
        if one.shape.place in wanted and one.row.pattern == PATTERN:
            whole = one.row.tile < one.shape.geometry.rows
            (tiles if whole else clipped).setdefault(one.row.dtype, set()).add(one.row.tile)
    for dtype, found in clipped.items():
        tiles.setdefault(dtype, {max(found)})
    return tuple(Slice(tile, dtype) for dtype in sorted(tiles) for tile in sorted(tiles[dtype]))


def covers(passport: Passport, chosen: Slice, places: Iterable[Place]) -> bool:
    """Whether the layers were measured in that slice, and not just some whose few filters fit any tile."""
    there = slices(passport, places)
    if chosen in there:
        return True
    widest = [one for one in there if one.dtype == chosen.dtype]
    wanted, found = set(places), CrossoverMap(passport, chosen).places
    return bool(widest) and all(wanted & CrossoverMap(passport, one).places <= found for one in widest)


def distinct_layers(model: LoadedModel) -> dict[LayerShape, int]:
    """Every layer shape of a model, in the order of execution, with how many of its layers have it."""
    found: dict[LayerShape, int] = {}
    for info in model.layers:
        shape = named(info.geometry, info.plane)
        found[shape] = found.get(shape, 0) + 1
    return found


@dataclass(frozen=True)
class Tally:
    """How the measured layers of a network stand at one ratio: how many win, lose, are unclear or declined.

    `time_share` is the share of the measured layers' dense time that lies in layers that win.
    """

    ratio: float
    wins: int
    loses: int
    unclear: int
    declined: int
    time_share: float

    @property
    def measured(self) -> int:
        return self.wins + self.loses + self.unclear + self.declined


def tallies(chart: CrossoverMap, layers: Mapping[LayerShape, int], batch: int) -> tuple[Tally, ...]:
    """One tally per measured ratio, ascending; layers count as often as the network has them."""
    places = {shape.place: count for shape, count in layers.items()}
    found = [_tally(chart, places, batch, ratio) for ratio in chart.ratios(places)]
    return tuple(tally for tally in found if tally.measured)


def _tally(chart: CrossoverMap, places: Mapping[Place, int], batch: int, ratio: float) -> Tally:
    counts = dict.fromkeys((WINS, LOSES, UNCLEAR, DECLINED, NOT_MEASURED), 0)
    times = dict.fromkeys(counts, 0.0)
    for place, count in places.items():
        state = chart.spot(place, batch, ratio).state
        counts[state] += count
        times[state] += count * (chart.dense_ms(place, batch) or 0.0)
    total = sum(times.values()) - times[NOT_MEASURED]
    share = times[WINS] / total if total else 0.0
    return Tally(ratio, counts[WINS], counts[LOSES], counts[UNCLEAR], counts[DECLINED], share)


def measured_work(chart: CrossoverMap, layers: Mapping[LayerShape, int], batch: int) -> float:
    """Share of the network's multiply-adds in layers that were measured at that batch size, at any ratio."""
    work = {shape: count * shape.flops(batch) for shape, count in layers.items()}
    known = [work[shape] for shape in layers if chart.break_even(shape.place, batch).highest is not None]
    return sum(known) / sum(work.values())


def paying_ratio(found: Sequence[Tally]) -> float | None:
    """The smallest ratio from which on, up to the highest measured, winning layers hold most of the time.

    Most: at least half of the dense time of the measured layers. None if it is never so at the highest.
    """
    pays = {tally.ratio: WINS if tally.time_share >= 0.5 else LOSES for tally in found}
    return break_even(pays).ratio
