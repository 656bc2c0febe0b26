"""What a report says, in the order in which people ask: is it better, by how much, at what cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app import wording
from bcbp.patterns import PATTERNS
from bcbp.spec import DENSE

BETTER, WORSE, UNCLEAR = "better", "worse", "cannot tell"
COSTLY, NO_CLAIM = "better at a cost", "no speed claim"


@dataclass(frozen=True)
class Accuracy:
    """Correct answers of `total` with the 95 % interval of their share."""

    correct: int
    total: int
    interval: tuple[float, float]

    @property
    def share(self) -> float:
        return self.correct / self.total


@dataclass(frozen=True)
class Paired:
    """McNemar's test against dense on the same images: answers gained, lost, and what follows."""

    gained: int
    lost: int
    p_value: float
    verdict: str


@dataclass(frozen=True)
class Rung:
    """One recovery of a method: what it reaches, against the rung below, in how many seconds.

    `kept` marks the one that the method's accuracy is of.
    """

    title: str
    accuracy: Accuracy
    against_below: Paired | None
    seconds: float
    kept: bool


@dataclass(frozen=True)
class Epoch:
    """An epoch of fine-tuning: mean training loss, share of validation images that are right."""

    loss: float
    validation: float


@dataclass(frozen=True)
class Latency:
    """Milliseconds per batch: median and quartiles over `rounds`; `noisy` if the clock was unsteady.

    `speed_claim` is False where the time says nothing about pruning.
    """

    median: float
    quartiles: tuple[float, float]
    rounds: int
    engine: str
    noisy: bool
    speed_claim: bool


@dataclass(frozen=True)
class Speedup:
    """Best dense time over this time, with its interval and the verdict on it."""

    value: float
    interval: tuple[float, float]
    verdict: str


@dataclass(frozen=True)
class Finding:
    """One method of a report at one batch size; what is not measured (yet) is None.

    `layers` are the report's, with "engine" and "engine_reason" at that batch size.
    """

    method: str
    title: str
    ratio: float
    sparsity: float
    macs: int
    parameters: int
    accuracy: Accuracy | None
    paired: Paired | None
    ladder: tuple[Rung, ...]
    curve: tuple[Epoch, ...]
    latency: Latency | None
    speedup: Speedup | None
    wit_before: float | None
    wit_after: float | None
    layers: tuple[Mapping[str, Any], ...]
    remarks: tuple[str, ...]
    predicted: str = ""


def batches(report: Mapping[str, Any]) -> tuple[str, ...]:
    """Batch sizes with any latency, ascending, as the report writes them."""
    found = {batch for row in report.get("rows", ()) for batch in row.get("latency_ms") or {}}
    return tuple(sorted(found, key=int))


def findings(
    report: Mapping[str, Any], *, batch: str | None, titles: Mapping[str, str]
) -> tuple[Finding, ...]:
    """The rows of a (possibly partial) report at one batch size, in the report's order."""
    return tuple(_finding(row, batch, titles) for row in report.get("rows", ()))


def _finding(row: Mapping[str, Any], batch: str | None, titles: Mapping[str, str]) -> Finding:
    method = row["method"]
    accuracy, paired = row.get("accuracy"), row.get("accuracy_vs_dense")
    latency, speedup = (row.get("latency_ms") or {}).get(batch), (row.get("speedup") or {}).get(batch)
    return Finding(
        method=method,
        title=titles.get(method, method),
        ratio=row.get("asked_ratio") or 0.0,
        sparsity=row.get("sparsity") or 0.0,
        macs=row.get("macs") or 0,
        parameters=row.get("parameters") or 0,
        accuracy=accuracy and _accuracy(accuracy),
        paired=paired and Paired(**paired),
        ladder=tuple(_rung(rung) for rung in row.get("ladder") or ()),
        curve=tuple(Epoch(each["loss"], each["correct"] / each["total"]) for each in row.get("curve") or ()),
        latency=latency and _latency(latency),
        speedup=speedup and Speedup(speedup["value"], tuple(speedup["interval"]), speedup["verdict"]),
        wit_before=row.get("wit_before"),
        wit_after=row.get("wit_after"),
        layers=tuple(_layer(layer, batch) for layer in row.get("layers") or ()),
        remarks=_remarks(row, batch),
        predicted=_predicted(row, batch),
    )


def _accuracy(data: Mapping[str, Any]) -> Accuracy:
    return Accuracy(data["correct"], data["total"], tuple(data["interval"]))


def _rung(data: Mapping[str, Any]) -> Rung:
    paired = data["against_below"]
    return Rung(
        data["title"],
        _accuracy(data["accuracy"]),
        paired and Paired(**paired),
        data["seconds"],
        data["kept"],
    )


def _predicted(row: Mapping[str, Any], batch: str | None) -> str:
    """The time that a latency target was expected to bring at that batch size; runs of old have none."""
    forecast = row.get("forecast")
    if not forecast or str(forecast["batch"]) != batch:
        return ""
    return wording.predicted(forecast["ms"], forecast["dense_ms"], forecast["batch"])


def predicted_beside(rows: Sequence[Finding], method: str) -> str:
    """Predicted and measured time of a method in one sentence; empty without both."""
    dense, row = dense_of(rows), next((row for row in rows if row.method == method), None)
    if row is None or not row.predicted or row.latency is None or dense is None or dense.latency is None:
        return ""
    return wording.predicted_beside(row.predicted, row.latency.median, dense.latency.median)


def _layer(layer: Mapping[str, Any], batch: str | None) -> Mapping[str, Any]:
    """A layer as it ran at one batch size. Runs stored by earlier versions know only the first."""
    if "engines" not in layer:
        return layer
    run = layer["engines"].get(batch) or {"engine": None, "reason": None}
    return {**layer, "engine": run["engine"], "engine_reason": run["reason"]}


def _latency(data: Mapping[str, Any]) -> Latency:
    samples = data["samples"]
    rounds = len(samples) if isinstance(samples, Sequence) else samples
    return Latency(
        data["median"],
        (data["q1"], data["q3"]),
        rounds,
        data["engine"],
        noisy=bool(data.get("noisy")),
        speed_claim=bool(data.get("speed_claim", True)),
    )


def _remarks(row: Mapping[str, Any], batch: str | None) -> tuple[str, ...]:
    """Why a figure is missing, and what the planner had to say."""
    reasons = [row.get("accuracy_reason"), (row.get("latency_reason") or {}).get(batch)]
    kept = row.get("importance")
    brought = f"{wording.importance_kept(*kept)}." if kept else ""
    notes = [*(row.get("notes") or ()), *(note for rung in row.get("ladder") or () for note in rung["notes"])]
    return tuple(reason for reason in (*reasons, brought, *notes) if reason)


def paired_text(paired: Paired | None) -> str:
    """Images gained and lost, and what that allows to be said; nothing where nothing was compared."""
    return wording.paired(paired.gained, paired.lost, paired.verdict, paired.p_value) if paired else ""


def dense_of(rows: Sequence[Finding]) -> Finding | None:
    return next((row for row in rows if row.method == DENSE), None)


def layer_lines(row: Finding) -> list[dict[str, object]]:
    """A line a layer: what is left of it, what a permutation kept, what ran it, and why."""
    permuted = any(layer.get("importance") for layer in row.layers)
    return [
        {
            "Layer": layer["name"],
            "Matrix": " × ".join(map(str, layer["shape"])),
            "Removed": wording.percent(layer["ratio"]),
            "Tiles": layer["tiles"],
            "Columns kept": wording.span(layer["columns"]),
            **({"Importance kept": _importance(layer)} if permuted else {}),
            "Engine": layer.get("engine") or "",
            "Why": layer.get("engine_reason") or "",
        }
        for layer in row.layers
    ]


def _importance(layer: Mapping[str, Any]) -> str:
    kept = layer.get("importance")
    return wording.before_after(*kept) if kept else ""


@dataclass(frozen=True)
class Verdict:
    """`mood` is one of the five above, or waiting; `sentence` answers, `cause` explains."""

    mood: str
    sentence: str
    cause: str


WAITING = Verdict("waiting", "No verdict yet: the times of dense and of this method are still to come.", "")


def verdict(rows: Sequence[Finding], *, method: str, batch: str) -> Verdict:
    """The answer for one method at one batch size."""
    dense, row = dense_of(rows), next((row for row in rows if row.method == method), None)
    if dense is None or row is None or row.speedup is None or dense.latency is None or row.latency is None:
        return WAITING
    mood = _mood(row, row.latency, row.speedup)
    measured = f"{row.title} is {wording.times(row.speedup.value)} as fast as the best dense at batch {batch}"
    head = {
        BETTER: f"Yes: {measured}",
        COSTLY: f"Faster, at a cost: {measured}",
        WORSE: f"No, not on this device: {measured}",
        UNCLEAR: f"Cannot tell: {row.title} and the best dense are too close to call at batch {batch}",
        NO_CLAIM: f"No speed claim: {row.title} ran on {row.latency.engine}, whose time says nothing about "
        f"pruning; as it ran, {measured}",
    }[mood]
    low, high = row.speedup.interval
    interval = f" (95 % interval {wording.times(low)} to {wording.times(high)})"
    return Verdict(mood, head + interval + _accuracy_clause(row, dense) + ".", _cause(row, dense, mood))


def _mood(row: Finding, latency: Latency, speedup: Speedup) -> str:
    """What may be said of the speed, and whether it was paid for with accuracy."""
    if not latency.speed_claim:
        return NO_CLAIM
    costs = row.paired is not None and row.paired.verdict == WORSE
    return COSTLY if speedup.verdict == BETTER and costs else speedup.verdict


def _accuracy_clause(row: Finding, dense: Finding) -> str:
    if row.accuracy is None or dense.accuracy is None:
        return "; accuracy was not measured"
    shares = f"{wording.percent(row.accuracy.share, 2)} against {wording.percent(dense.accuracy.share, 2)}"
    difference = wording.points(row.accuracy.share - dense.accuracy.share)
    if row.paired is not None and row.paired.verdict == UNCLEAR:
        return f", with no clear difference in accuracy ({shares})"
    return f", with {difference} points of accuracy ({shares})"


def _cause(row: Finding, dense: Finding, mood: str) -> str:
    """What the measured figures themselves say about why; no guess goes beyond them."""
    assert row.latency is not None and dense.latency is not None
    pruned, fallbacks = _fallbacks(row)
    parts = [_work(row.macs / dense.macs if dense.macs else 1.0, row.latency, dense.latency, bool(fallbacks))]
    if fallbacks:
        parts.append(wording.fallbacks(len(fallbacks), len(pruned), fallbacks[0].get("engine_reason")))
    if mood == UNCLEAR:
        parts.append("More rounds or a quieter machine would narrow the interval.")
    if row.latency.noisy or dense.latency.noisy:
        parts.append("The clock was unsteady during this run.")
    return " ".join(parts)


def _fallbacks(row: Finding) -> tuple[list[Mapping[str, Any]], list[Mapping[str, Any]]]:
    """The pruned layers, and those of them that ran dense though they were meant to run sparse."""
    pruned = [layer for layer in row.layers if layer.get("ratio", 0) > 0]
    if PATTERNS[row.method].changes_shapes:
        return pruned, []
    return pruned, [layer for layer in pruned if layer.get("engine") == DENSE]


def _work(left: float, latency: Latency, dense: Latency, fell_back: bool) -> str:
    """Work left and its rate; no rate where layers ran dense, since those did more than their masks leave."""
    if fell_back:
        return f"Its masks leave {wording.percent(left, 0)} of the multiply-adds."
    rate = left * dense.median / latency.median
    return (
        f"It does {wording.percent(left, 0)} of the multiply-adds, "
        f"at {wording.percent(rate, 0)} of the rate of {dense.engine}."
    )
