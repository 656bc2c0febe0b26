"""The answer for one method in one sentence, with its cause: what the figures allow, no more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.findings import NO_CLAIM, Finding, Latency, Speedup, dense_of
from app.losses import MOST, loses_too_much, loss_of
from app.words import formats, run_words
from bcbp.patterns import PATTERNS
from bcbp.spec import DENSE
from kernels.measure import MIN_ROUNDS, Control

BETTER, WORSE, UNCLEAR = "better", "worse", "cannot tell"
COSTLY, LOST = "better at a cost", "no"
NO_VERDICT = "no verdict"  # and none to come


@dataclass(frozen=True)
class Verdict:
    """`mood` is one of the above, no speed claim, or waiting; `sentence` answers, `cause` explains."""

    mood: str
    sentence: str
    cause: str


WAITING = Verdict("waiting", "No verdict yet: the times of dense and of this method are still to come.", "")
UNTIMED = Verdict(NO_VERDICT, "No verdict: this run has no times of dense and of this method.", "")


def verdict(rows: Sequence[Finding], *, method: str, batch: str | None, ended: bool = False) -> Verdict:
    """The answer for one method at one batch size: first whether its accuracy will do, then its speed.

    `batch` is None before any time is there; of a run that has `ended`, none is still to come.
    """
    dense, row = dense_of(rows), next((row for row in rows if row.method == method), None)
    if dense is not None and row is not None and loses_too_much(row):
        return _lost(row, dense, batch)
    if (
        dense is None
        or row is None
        or batch is None
        or row.speedup is None
        or dense.latency is None
        or row.latency is None
    ):
        return UNTIMED if ended else WAITING
    mood = _mood(row, row.latency, row.speedup)
    measured = f"{row.title} is {_speed(row.speedup, batch)}"
    head = {
        BETTER: f"Yes: {measured}",
        COSTLY: f"Faster, at a cost: {measured}",
        WORSE: f"No, not on this device: {measured}",
        UNCLEAR: f"Cannot tell: {measured}",
        NO_CLAIM: f"No speed claim: {row.title} ran on {row.latency.engine}, whose time says nothing about "
        f"pruning; as it ran, {measured}",
    }[mood]
    why = f" {_unclear(row.latency, row.speedup, dense)}" if mood == UNCLEAR else ""
    sentence = f"{head}{_accuracy_clause(row, dense)}.{why}"
    return Verdict(mood, sentence, _cause(row, dense, mood))


def _speed(speedup: Speedup, batch: str) -> str:
    bounds = formats.interval(speedup.interval, formats.times)
    return (
        f"{formats.times(speedup.value)} as fast as the best dense at batch {batch} (95 % interval {bounds})"
    )


def _unclear(latency: Latency, speedup: Speedup, dense: Finding) -> str:
    """Which of the conditions of `kernels.measure.compare` for a claim is not met."""
    assert dense.speedup is not None
    low, high = speedup.interval
    if latency.rounds < MIN_ROUNDS:
        return f"{latency.rounds} rounds are too few to tell; it takes {MIN_ROUNDS}."
    if low <= 1 <= high:
        return "The interval contains 1.00×, no difference."
    apart = Control(1.0, dense.speedup.interval).deviation
    if low <= apart and high >= 1 / apart:
        return f"{_clock(dense)}, so this may be chance."
    return "Round by round and over all rounds, the times do not agree on which is faster."


def _clock(dense: Finding) -> str:
    """How identical code fared; the interval of the dense row is that of the A/A control."""
    assert dense.speedup is not None
    bounds = formats.interval(dense.speedup.interval, formats.times)
    return f"Timed in the same rounds, identical code was {bounds} as fast as itself"


def _lost(row: Finding, dense: Finding, batch: str | None) -> Verdict:
    """The answer where so much accuracy is gone that the speed does not matter."""
    loss = loss_of(row)
    assert loss is not None and row.accuracy is not None and dense.accuracy is not None
    sentence = (
        f"No: {formats.lost_points(loss.value)} points of accuracy lost. {row.title} is right on "
        f"{formats.percent(row.accuracy.share, 2)} of {row.accuracy.total:,} test images, dense on "
        f"{formats.percent(dense.accuracy.share, 2)}."
    )
    bounds = formats.interval(loss.interval, formats.lost_points)
    cause = (
        f"95 % interval of the loss: {bounds} points; no speed makes up for more than {100 * MOST:.4g} here."
    )
    if row.speedup is not None and batch is not None:
        cause += f" It is {_speed(row.speedup, batch)}."
    return Verdict(LOST, sentence, f"{cause} Removing less, or more recovery, may keep the accuracy.")


def untimed_verdict(rows: Sequence[Finding], row: Finding, *, ended: bool = False) -> Verdict:
    """The answer of a run that was to time nothing, such as fine-tuning: accuracy alone."""
    dense = dense_of(rows)
    if dense is not None and loses_too_much(row):
        return _lost(row, dense, None)
    if dense is None or row.accuracy is None or dense.accuracy is None or row.paired is None:
        missing = "was not measured to the end" if ended else "is still to come"
        return Verdict(
            NO_VERDICT if ended else "waiting",
            f"No verdict{'' if ended else ' yet'}: the accuracy of {row.title} {missing}.",
            "",
        )
    head = {
        BETTER: f"{row.title} is more often right than dense",
        WORSE: f"{row.title} costs accuracy",
        UNCLEAR: f"No clear loss: {row.title} and dense are too close to call",
    }[row.paired.verdict]
    shares = f"{formats.percent(row.accuracy.share, 2)} against {formats.percent(dense.accuracy.share, 2)}"
    change = formats.points(row.accuracy.share - dense.accuracy.share)
    sentence = f"{head}: {shares} of {row.accuracy.total:,} test images, {change} points."
    mood = COSTLY if row.paired.verdict == WORSE else row.paired.verdict
    return Verdict(mood, sentence, f"{_recovered(row)}Nothing was timed, so nothing is said of speed.")


def _recovered(row: Finding) -> str:
    kept = next((rung for rung in row.ladder if rung.kept), None)
    return f"Kept is {kept.title}, which took {formats.seconds(kept.seconds)}. " if kept else ""


def _mood(row: Finding, latency: Latency, speedup: Speedup) -> str:
    """What may be said of the speed, and whether it was paid for with accuracy."""
    if not latency.speed_claim:
        return NO_CLAIM
    costs = row.paired is not None and row.paired.verdict == WORSE
    return COSTLY if speedup.verdict == BETTER and costs else speedup.verdict


def _accuracy_clause(row: Finding, dense: Finding) -> str:
    if row.accuracy is None or dense.accuracy is None:
        return "; accuracy was not measured"
    shares = f"{formats.percent(row.accuracy.share, 2)} against {formats.percent(dense.accuracy.share, 2)}"
    difference = formats.points(row.accuracy.share - dense.accuracy.share)
    if row.paired is not None and row.paired.verdict == UNCLEAR:
        return f", with no clear difference in accuracy ({shares})"
    return f", with {difference} points of accuracy ({shares})"


def _cause(row: Finding, dense: Finding, mood: str) -> str:
    """What the measured figures themselves say about why; no guess goes beyond them."""
    assert row.latency is not None and dense.latency is not None
    pruned, fallbacks = _fallbacks(row)
    parts = [_work(row.macs / dense.macs if dense.macs else 1.0, row.latency, dense.latency, bool(fallbacks))]
    if fallbacks:
        parts.append(run_words.fallbacks(len(fallbacks), len(pruned), fallbacks[0].get("engine_reason")))
    if mood in (BETTER, COSTLY, WORSE):
        parts.append(f"{_clock(dense)}, so this is not chance.")
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
        return f"Its masks leave {formats.percent(left, 0)} of the multiply-adds."
    rate = left * dense.median / latency.median
    return (
        f"It does {formats.percent(left, 0)} of the multiply-adds, "
        f"at {formats.percent(rate, 0)} of the rate of {dense.engine}."
    )
