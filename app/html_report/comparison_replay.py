"""The measured points of a comparison: speed, accuracy and size by method, ratio and batch size."""

from __future__ import annotations

from app.findings import Finding, dense_of, paired_text
from app.html_report.replay import NOT_MEASURED, Axis, Figure, Grid, Points
from app.html_report.subject import Subject
from app.result_lines import accuracy_change, verdict_word
from app.titles import METHOD_TITLES
from app.words import formats
from bcbp.spec import DENSE

FIGURES = ("speed", "accuracy", "size")


def grid(subject: Subject) -> Grid:
    """It begins at the row that stands first."""
    points = measured(subject)
    focus, first = subject.focus, next(iter(subject.batches), "")
    start = _place(focus, first) if focus and _place(focus, first) in points else ()
    return Grid(axes((subject,)), FIGURES, points, start)


def axes(subjects: tuple[Subject, ...]) -> tuple[Axis, ...]:
    """What spans the points of all of them."""
    rows = [row for subject in subjects for row in subject.pruned]
    batches = {batch for subject in subjects for batch in subject.batches}
    return (
        Axis("method", tuple(dict.fromkeys(_method(row) for row in rows)), slider=False),
        Axis("ratio", tuple(_removed(ratio) for ratio in sorted({row.ratio for row in rows}))),
        Axis("batch", tuple(sorted(batches, key=int))),
    )


def measured(subject: Subject) -> Points:
    """At (method, ratio, batch size) what was measured there."""
    points: Points = {}
    for batch, rows in subject.by_batch.items():
        dense = dense_of(rows)
        for row in rows if batch and dense else ():
            if row.method != DENSE:
                points[_place(row, str(batch))] = _point(row, dense)
    return points


def _place(row: Finding, batch: str) -> tuple[str, str, str]:
    return _method(row), _removed(row.ratio), batch


def _method(row: Finding) -> str:
    return METHOD_TITLES.get(row.method, row.method)


def _removed(ratio: float) -> str:
    return f"{formats.ratio_percent(ratio)} removed"


def _point(row: Finding, dense: Finding | None) -> tuple[Figure, Figure, Figure]:
    assert dense is not None
    speed = accuracy = (NOT_MEASURED, "; ".join(row.remarks))
    if row.speedup and row.latency:
        bounds = formats.interval(row.speedup.interval, formats.times)
        words = f"95 % interval {bounds}; {formats.milliseconds(row.latency.median)}; {verdict_word(row)}"
        speed = (formats.times(row.speedup.value), words)
    if row.accuracy:
        bounds = formats.interval(row.accuracy.interval, lambda share: formats.percent(share, 2))
        change = accuracy_change(row, dense)
        words = f"95 % interval {bounds}; {change} points; {paired_text(row.paired)}"
        accuracy = (formats.percent(row.accuracy.share, 2), words)
    size = (
        formats.percent(row.parameters / dense.parameters, 0),
        f"of the parameters, {formats.amount(row.parameters)} of {formats.amount(dense.parameters)}; "
        f"{formats.percent(row.macs / dense.macs, 0)} of the multiply-adds; counted, so without interval",
    )
    return speed, accuracy, size
