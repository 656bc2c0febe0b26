"""What a passport says, in the order in which people ask: does pruning pay here, why, from which ratio on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.device_charts import MapLine
from app.verdict import Verdict
from app.words import device_words, formats
from bcbp.crossover import DECLINED, CrossoverMap, Spot, Tally, measured_work, paying_ratio, tallies
from kernels.layers import LayerShape

PAYS, PARTLY, NO, UNCLEAR, UNKNOWN = "pays", "in part", "no", "cannot tell", "not measured"

# Layers with less of the network's work than this do not speak for it.
_WORK_TO_ANSWER = 0.5


@dataclass(frozen=True)
class View:
    """What of a passport the page shows: the layers of a model (with their number) at one batch size."""

    found: CrossoverMap
    layers: Mapping[LayerShape, int]
    batch: int

    @property
    def batches(self) -> tuple[int, ...]:
        return self.found.batches(shape.place for shape in self.layers)

    @property
    def ratios(self) -> tuple[float, ...]:
        return self.found.ratios(shape.place for shape in self.layers)

    def spot(self, shape: LayerShape, ratio: float) -> Spot:
        return self.found.spot(shape.place, self.batch, ratio)

    def dense_time(self, shape: LayerShape) -> float:
        """Milliseconds in all layers of that shape; 0 where nothing is measured."""
        return self.layers[shape] * (self.found.dense_ms(shape.place, self.batch) or 0.0)


def not_measured(model: str, tile: int) -> Verdict:
    """The answer where there are no figures."""
    sentence = f"Not measured: no layer of {model} has been timed on this device in tiles of {tile} filters."
    return Verdict(UNKNOWN, sentence, "")


def answer(view: View) -> Verdict:
    """Does pruning pay here? Over the layers of the view at its batch size, from verdicts alone."""
    found = tallies(view.found, view.layers, view.batch)
    if not found:
        return Verdict(UNKNOWN, f"Not measured at batch {view.batch}.", "")
    mood, sentence = _answer(found, view.batch)
    measured, total = max(tally.measured for tally in found), sum(view.layers.values())
    so_far = f"So far {measured} of {total} layers are measured. " if measured < total else ""
    work = measured_work(view.found, view.layers, view.batch)
    if work < _WORK_TO_ANSWER:
        short = f"They hold {formats.percent(work, 0)} of the multiply-adds, too little for an answer."
        return Verdict(UNKNOWN, so_far + short, "")
    return Verdict(mood, so_far + sentence, _cause(view, found, mood))


def _answer(found: Sequence[Tally], batch: int) -> tuple[str, str]:
    pays, last = paying_ratio(found), found[-1]
    if pays is not None:
        first = next(tally for tally in found if tally.ratio == pays)
        return PAYS, f"Yes, from {formats.ratio_percent(pays)} removed on: at batch {batch}, {_wins(first)}."
    best = max(found, key=lambda tally: tally.time_share)
    if best.wins:
        return (
            PARTLY,
            f"In part: at batch {batch} and {formats.ratio_percent(best.ratio)} removed, {_wins(best)}.",
        )
    most = f"at batch {batch}, up to {formats.ratio_percent(last.ratio)} removed"
    if last.unclear and not last.loses:
        return UNCLEAR, f"Cannot tell: {most}, sparse is nowhere clearly faster than the best dense."
    if last.declined == last.measured:
        return NO, f"No, not on this device: no engine runs the {last.measured} measured layers sparse."
    slower = f"is slower than the best dense in {last.loses} of {last.measured} measured layers"
    return NO, f"No, not on this device: {most}, sparse wins in no layer and {slower}."


def _wins(tally: Tally) -> str:
    return (
        f"sparse beats the best dense in {tally.wins} of {tally.measured} measured layers, "
        f"which take {formats.percent(tally.time_share, 0)} of their dense time"
    )


def _cause(view: View, found: Sequence[Tally], mood: str) -> str:
    """What the figures themselves say about why; no guess goes beyond them."""
    pays = paying_ratio(found)
    parts = [_costliest(view, found[-1].ratio if pays is None else pays)]
    if mood == PARTLY:
        parts.append("There is no ratio from which on winning layers take half of the time or more.")
    if mood == UNCLEAR:
        parts.append("More rounds or a quieter machine would narrow the intervals.")
    spots = [spot for line in lines(view) for spot in line.spots if spot.row is not None]
    noisy = sum(spot.row.row.noisy for spot in spots if spot.row is not None)
    if noisy:
        parts.append(f"The clock was unsteady in {noisy} of {len(spots)} measurements.")
    return " ".join(filter(None, parts))


def _costliest(view: View, ratio: float) -> str:
    """The work left in the layers that cost most, and the rate at which it was done."""
    shape = max(view.layers, key=view.dense_time)
    measured = view.spot(shape, ratio).row
    if measured is None:
        return ""
    row = measured.row
    where = f"Most dense time goes into `{formats.layer_count(shape.name, view.layers[shape])}`"
    if row.speedup is None:
        return f"{where}, which cannot run sparse: {formats.literal(row.note)}."
    return (
        f"{where}: with {formats.percent(row.density, 0)} of its multiply-adds left, at "
        f"{formats.percent(row.density * row.speedup, 0)} of the dense rate, "
        f"it is {formats.times(row.speedup)} as fast."
    )


def lines(view: View) -> list[MapLine]:
    """The map, a line a layer shape in the order of execution."""
    return [
        MapLine(
            formats.layer_count(shape.name, count),
            tuple(view.spot(shape, ratio) for ratio in view.ratios),
        )
        for shape, count in view.layers.items()
    ]


def break_even_lines(view: View) -> list[dict[str, str]]:
    """A line a layer shape: its share of the work and, per batch size, break-even and best dense time."""
    total = sum(shape.flops(1) * count for shape, count in view.layers.items())
    return [
        {
            "Layer": formats.layer_count(shape.name, count),
            "Share of work": formats.percent(shape.flops(1) * count / total),
        }
        | {f"Break-even, batch {batch}": _break_even(view, shape, batch) for batch in view.batches}
        | {f"Best dense, batch {batch}": _dense(view, shape, batch) for batch in view.batches}
        for shape, count in view.layers.items()
    ]


def _break_even(view: View, shape: LayerShape, batch: int) -> str:
    found = view.found.break_even(shape.place, batch)
    if found.reason:
        return f"{DECLINED}: {found.reason}"
    return device_words.break_even(found.ratio, found.highest, unclear=found.unclear)


def _dense(view: View, shape: LayerShape, batch: int) -> str:
    taken = view.found.dense_ms(shape.place, batch)
    return "" if taken is None else formats.milliseconds(taken)


def environment_lines(environment: Mapping[str, Any]) -> list[dict[str, str]]:
    """The device and what runs on it; what is unknown is left out."""
    versions = environment.get("versions")
    named = {
        "Processor": environment.get("cpu"),
        "Instruction set": environment.get("instruction_set"),
        "Cores (usable)": environment.get("usable_cores"),
        "Threads": environment.get("threads"),
        "GPU": environment.get("gpu") or "none",
        "System": environment.get("os"),
        "Python": environment.get("python"),
        "Versions": ", ".join(f"{name} {version}" for name, version in (versions or {}).items()),
        "Commit": environment.get("commit"),
        "Load": environment.get("load"),
    }
    return [{"What": what, "Value": str(value)} for what, value in named.items() if value not in (None, "")]


def engine_lines(engines: Sequence[tuple[str, str, str | None]]) -> list[dict[str, str]]:
    """Every engine: available, or why not."""
    return [
        {
            "Engine": name,
            "On this machine": "available" if missing is None else f"no: {missing}",
            "What": title,
        }
        for name, title, missing in engines
    ]
