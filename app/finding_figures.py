"""The figures of a comparison from its findings. Pure: pages and reports draw the same."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from app import charts
from app.findings import Finding
from app.losses import loses_too_much
from app.titles import METHOD_TITLES
from app.trade_off import Point, trade_off
from app.words import formats
from bcbp.spec import DENSE


def trade_off_figure(rows: Sequence[Finding], *, focus: str, several: bool) -> go.Figure | None:
    """Accuracy over latency of what is tested and timed, by rising ratio; None where nothing is.

    With `several` ratios each point has its own beside it.
    """
    points = [
        Point(
            row.method,
            METHOD_TITLES.get(row.method, row.method),
            formats.ratio_percent(row.ratio) if several and row.method != DENSE else "",
            row.latency.median,
            row.latency.quartiles,
            row.accuracy.share,
            row.accuracy.interval,
            loses_too_much(row),
        )
        for row in sorted(rows, key=lambda row: row.ratio)
        if row.latency and row.accuracy
    ]
    return trade_off(points, focus=focus) if points else None


def latency_figure(rows: Sequence[Finding]) -> go.Figure:
    """Latency alone, where accuracy means nothing."""
    return charts.latency_bars(
        [(row.method, row.title, row.latency.median, row.latency.quartiles) for row in rows if row.latency]
    )


def ladder_figure(rows: Sequence[Finding]) -> go.Figure:
    """Accuracy over the rungs of every row that has some."""
    return charts.ladder(
        [
            (
                row.method,
                row.title,
                [charts.Step(rung.title, rung.accuracy.share, rung.accuracy.interval) for rung in row.ladder],
            )
            for row in rows
            if row.ladder
        ]
    )


def curve_figures(rows: Sequence[Finding]) -> tuple[go.Figure, go.Figure]:
    """Training loss and validation accuracy over the epochs of every row that has some."""
    tuned = [row for row in rows if row.curve]
    losses = [(row.method, row.title, [epoch.loss for epoch in row.curve]) for row in tuned]
    right = [(row.method, row.title, [100 * epoch.validation for epoch in row.curve]) for row in tuned]
    return charts.curve(losses, axis="training loss"), charts.curve(right, axis="validation accuracy, %")
