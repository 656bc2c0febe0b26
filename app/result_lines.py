"""The tables of a comparison, as lines of words by column. Pure: pages and reports show the same."""

from __future__ import annotations

from collections.abc import Sequence

from app.findings import NO_CLAIM, Finding, Latency, Rung, dense_of, paired_text
from app.losses import loses_too_much
from app.titles import METHOD_TITLES
from app.words import formats, run_words
from bcbp.equal_accuracy import Choice
from bcbp.spec import DENSE

Line = dict[str, str]


def result_lines(rows: Sequence[Finding]) -> list[Line]:
    """Every measured figure with its interval, a line a row.

    Differences are against the dense row; columns of which nothing is measured (yet) are left out.
    """
    dense = dense_of(rows)
    lines = [_result(row, dense) for row in rows]
    shown = {name for line in lines for name, cell in line.items() if cell}
    return [{name: cell for name, cell in line.items() if name in shown} for line in lines]


def _result(row: Finding, dense: Finding | None) -> Line:
    accuracy, latency, speedup = row.accuracy, row.latency, row.speedup
    return {
        "Method": row.title,
        "Removed": formats.percent(row.sparsity),
        "Speed": formats.times(speedup.value) if speedup else "",
        "95 % interval": _speed_interval(row),
        "Verdict": verdict_word(row),
        "Latency": formats.milliseconds(latency.median) if latency else "",
        "Predicted": row.predicted,
        "Quartiles": formats.interval(latency.quartiles, formats.milliseconds) if latency else "",
        "Limit": _limit(latency),
        "Accuracy": formats.percent(accuracy.share, 2) if accuracy else "",
        "± points": accuracy_change(row, dense),
        "Against dense": run_words.so_far(row.so_far) or paired_text(row.paired),
        "Accuracy interval": formats.interval(accuracy.interval, lambda share: formats.percent(share, 2))
        if accuracy
        else "",
        "Multiply-adds": _with_share(row.macs, dense.macs if dense else None),
        "Parameters": _with_share(row.parameters, dense.parameters if dense else None),
        "WIT before → after": _imbalance(row),
        "Engine": latency.engine if latency else "",
    }


def _speed_interval(row: Finding) -> str:
    """Of dense, which is compared with itself, it is the check of the clock and says so."""
    if row.speedup is None:
        return ""
    bounds = formats.interval(row.speedup.interval, formats.times)
    return run_words.self_check(bounds) if row.method == DENSE else bounds


def _limit(latency: Latency | None) -> str:
    if latency is None or latency.limit is None or latency.reached is None:
        return ""
    return run_words.limit(latency.limit, latency.reached)


def verdict_word(row: Finding) -> str:
    """The verdict on the speed of a row, unless its accuracy is gone; empty before it is timed."""
    if loses_too_much(row):
        return "accuracy lost"
    if row.speedup is None or row.latency is None:
        return ""
    if not row.latency.speed_claim:
        return NO_CLAIM
    return "reference" if row.method == DENSE else row.speedup.verdict


def accuracy_change(row: Finding, dense: Finding | None) -> str:
    """Points of accuracy against dense; empty for dense itself, and where either is not tested to the end."""
    if row.so_far or row is dense or dense is None or row.accuracy is None or dense.accuracy is None:
        return ""
    return formats.points(row.accuracy.share - dense.accuracy.share)


def _with_share(value: int, whole: int | None) -> str:
    if not value or not whole or value == whole:
        return formats.amount(value) if value else ""
    return f"{formats.amount(value)} ({formats.percent(value / whole, 0)})"


def _imbalance(row: Finding) -> str:
    if row.wit_before is None or row.wit_after is None:
        return ""
    return f"{formats.percent(row.wit_before)} → {formats.percent(row.wit_after)}"


def ladder_lines(rows: Sequence[Finding]) -> list[Line]:
    """A line a rung and method, lowest rung first."""
    return [_rung(row, index) for row in rows for index in range(len(row.ladder))]


def _rung(row: Finding, index: int) -> Line:
    rung = row.ladder[index]
    return {
        "Method": row.title,
        "Recovery": rung.title,
        "Kept": "✓" if rung.kept else "",
        "Accuracy": formats.percent(rung.accuracy.share, 2),
        "Interval": formats.interval(rung.accuracy.interval, lambda share: formats.percent(share, 2)),
        "± points": _gain(rung, row.ladder[index - 1]) if index else "",
        "Against the rung below": paired_text(rung.against_below),
        "Time": formats.seconds(rung.seconds),
    }


def _gain(rung: Rung, below: Rung) -> str:
    return formats.points(rung.accuracy.share - below.accuracy.share)


def curve_lines(rows: Sequence[Finding]) -> list[Line]:
    """A line an epoch and method."""
    return [
        {
            "Method": row.title,
            "Epoch": str(number),
            "Training loss": f"{epoch.loss:.4f}",
            "Validation accuracy": formats.percent(epoch.validation, 2),
        }
        for row in rows
        for number, epoch in enumerate(row.curve, 1)
    ]


def choice_line(choice: Choice) -> Line:
    """What one method offers within a limit of accuracy, or what comes nearest to it."""
    one = choice.candidate
    return {
        "Method": METHOD_TITLES.get(one.method, one.method),
        "Ratio": formats.ratio_percent(one.ratio),
        "Speed": formats.times(one.speedup),
        "Points lost": formats.lost_points(one.loss.value),
        "Within": choice.words,
        "Speed interval": formats.interval(one.interval, formats.times),
        "Loss interval": formats.interval(one.loss.interval, formats.lost_points),
    }
