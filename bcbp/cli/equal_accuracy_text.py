"""Equal accuracy as text: the fastest within a bound in one sentence, then what every method offers there."""

from __future__ import annotations

from typing import Any

from bcbp.cli.table import table
from bcbp.equal_accuracy import Choice, equal_accuracy, sentence

ONE_POINT = 0.01


def equal_accuracy_text(report: dict[str, Any], batch: str, bound: float) -> str:
    """Empty before any row is both tested and timed."""
    answer = equal_accuracy(report, batch=batch, bound=bound)
    if answer is None:
        return ""
    header = ["method", "ratio", "points lost", "95 % interval", "speed-up", "95 % interval", ""]
    return "\n".join([sentence(answer, {}), table(header, [_line(choice) for choice in answer.choices])])


def _line(choice: Choice) -> list[str]:
    one = choice.candidate
    low, high = (100 * end for end in one.loss.interval)
    return [
        one.method,
        f"{one.ratio:.4g}",
        f"{100 * one.loss.value:.2f}",
        f"{low:.2f} to {high:.2f}",
        f"{one.speedup:.2f}",
        "{:.2f} to {:.2f}".format(*one.interval),
        choice.words,
    ]
