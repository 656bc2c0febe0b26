"""What a report says, in the order in which people ask: is it better, by how much, at what cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app import wording
from bcbp.spec import DENSE

BETTER, WORSE, UNCLEAR = "better", "worse", "cannot tell"


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
class Latency:
    """Milliseconds per batch: median, quartiles, and the engine that ran."""

    median: float
    quartiles: tuple[float, float]
    samples: int
    engine: str


@dataclass(frozen=True)
class Speedup:
    """Best dense time over this time, with its interval and the verdict on it."""

    value: float
    interval: tuple[float, float]
    verdict: str


@dataclass(frozen=True)
class Finding:
    """One method of a report at one batch size; what is not measured (yet) is None."""

    method: str
    title: str
    ratio: float
    sparsity: float
    macs: int
    parameters: int
    accuracy: Accuracy | None
    latency: Latency | None
    speedup: Speedup | None
    wit_before: float | None
    wit_after: float | None
    layers: tuple[Mapping[str, Any], ...]


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
    accuracy = row.get("accuracy")
    latency = (row.get("latency_ms") or {}).get(batch)
    speedup = (row.get("speedup") or {}).get(batch)
    return Finding(
        method=method,
        title=titles.get(method, method),
        ratio=row.get("asked_ratio") or 0.0,
        sparsity=row.get("sparsity") or 0.0,
        macs=row.get("macs") or 0,
        parameters=row.get("parameters") or 0,
        accuracy=accuracy and Accuracy(accuracy["correct"], accuracy["total"], tuple(accuracy["interval"])),
        latency=latency and _latency(latency),
        speedup=speedup and Speedup(speedup["value"], tuple(speedup["interval"]), speedup["verdict"]),
        wit_before=row.get("wit_before"),
        wit_after=row.get("wit_after"),
        layers=tuple(row.get("layers") or ()),
    )


def _latency(data: Mapping[str, Any]) -> Latency:
    return Latency(data["median"], (data["q1"], data["q3"]), data["samples"], data["engine"])


def dense_of(rows: Sequence[Finding]) -> Finding | None:
    return next((row for row in rows if row.method == DENSE), None)


@dataclass(frozen=True)
class Verdict:
    """`mood` is better, worse or cannot tell (or waiting); `sentence` answers, `cause` explains."""

    mood: str
    sentence: str
    cause: str


WAITING = Verdict("waiting", "No verdict yet: the times of dense and of this method are still to come.", "")


def verdict(rows: Sequence[Finding], *, method: str, batch: str) -> Verdict:
    """The answer for one method at one batch size."""
    dense, row = dense_of(rows), next((row for row in rows if row.method == method), None)
    if dense is None or row is None or row.speedup is None or dense.latency is None or row.latency is None:
        return WAITING
    head = {
        BETTER: f"Yes: {row.title} is {wording.times(row.speedup.value)} as fast as the best dense at batch {batch}",
        WORSE: f"No, not on this device: at batch {batch} {row.title} runs at {wording.times(row.speedup.value)} "
        "the speed of the best dense",
        UNCLEAR: f"Cannot tell: at batch {batch} {row.title} and the best dense are too close to call",
    }[row.speedup.verdict]
    low, high = row.speedup.interval
    interval = f" (95 % interval {wording.times(low)} to {wording.times(high)})"
    return Verdict(row.speedup.verdict, head + interval + _accuracy_clause(row, dense) + ".", _cause(row, dense))


def _accuracy_clause(row: Finding, dense: Finding) -> str:
    if row.accuracy is None or dense.accuracy is None:
        return "; accuracy was not measured"
    difference = row.accuracy.share - dense.accuracy.share
    return (
        f", with {wording.points(difference)} points of accuracy "
        f"({wording.percent(row.accuracy.share, 2)} against {wording.percent(dense.accuracy.share, 2)})"
    )


def _cause(row: Finding, dense: Finding) -> str:
    """What the measured figures themselves say about why; no guess goes beyond them."""
    assert row.latency is not None and dense.latency is not None
    work = row.macs / dense.macs if dense.macs else 1.0
    rate = work * dense.latency.median / row.latency.median
    parts = [
        f"It does {wording.percent(work, 0)} of dense's multiply-adds, each at {wording.percent(rate, 0)} of dense's rate."
    ]
    fallbacks = [layer for layer in row.layers if layer.get("engine") == DENSE and layer.get("ratio", 0) > 0]
    if fallbacks:
        parts.append(f"{len(fallbacks)} of {len(row.layers)} pruned layers ran dense.")
    if row.speedup is not None and row.speedup.verdict == UNCLEAR:
        parts.append("The interval includes 1×: more rounds or a quieter machine would narrow it.")
    return " ".join(parts)
