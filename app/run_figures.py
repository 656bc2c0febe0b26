"""Figures in which runs are series: a colour a run, a marker a method. Pure: no Streamlit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from app.charts import COLORS, MARKERS, blank_figure
from app.findings import Finding
from app.titles import METHOD_TITLES
from bcbp.spec import DENSE

Rows = Sequence[tuple[str, Sequence[Finding]]]  # what a run is called, and its findings
_RUN_COLORS = [color for method, color in COLORS.items() if method != DENSE]


@dataclass(frozen=True)
class _Dot:
    """A place, and its intervals: low and high, where there are some."""

    x: float
    y: float
    across: tuple[float, float] | None = None
    up: tuple[float, float] | None = None


def speed_figure(runs: Rows) -> go.Figure:
    """Accuracy over speed, at one batch size, of what is tested and timed, by rising ratio."""
    figure = _joined(runs, _of_speed)
    figure.update_xaxes(title="speed against the dense of the same run (more is better)", ticksuffix="×")
    figure.update_yaxes(title="test accuracy, %")
    return figure


def ratio_figure(runs: Rows) -> go.Figure:
    """Accuracy over the share removed, of what is tested."""
    figure = _joined(runs, _of_ratio)
    figure.update_xaxes(title="weights removed, %")
    figure.update_yaxes(title="test accuracy, %")
    return figure


def curve_figures(runs: Rows) -> tuple[go.Figure, go.Figure]:
    """Training loss and validation accuracy over the epochs of every row that was fine-tuned."""
    return (
        _curves(runs, "training loss", lambda row: [epoch.loss for epoch in row.curve]),
        _curves(runs, "validation accuracy, %", lambda row: [100 * epoch.validation for epoch in row.curve]),
    )


def _of_speed(row: Finding) -> _Dot | None:
    if row.speedup is None or row.accuracy is None:
        return None
    across = None if row.method == DENSE else row.speedup.interval  # that of dense is the check of its clock
    return _Dot(row.speedup.value, 100 * row.accuracy.share, across, _percent(row))


def _of_ratio(row: Finding) -> _Dot | None:
    if row.accuracy is None:
        return None
    return _Dot(100 * row.sparsity, 100 * row.accuracy.share, up=_percent(row))


def _percent(row: Finding) -> tuple[float, float]:
    assert row.accuracy is not None
    low, high = row.accuracy.interval
    return 100 * low, 100 * high


def _joined(runs: Rows, place: Callable[[Finding], _Dot | None]) -> go.Figure:
    """A line a run and method, through its ratios."""
    figure = blank_figure(height=420)
    for number, (run, rows) in enumerate(runs):
        for method in dict.fromkeys(row.method for row in rows):
            own = sorted((row for row in rows if row.method == method), key=lambda row: row.ratio)
            dots = [dot for row in own if (dot := place(row)) is not None]
            if dots:
                title = f"{run}: {METHOD_TITLES.get(method, method)}"
                figure.add_scatter(**_look(number, method, title), **_placed(dots))
    return figure


def _placed(dots: Sequence[_Dot]) -> dict[str, object]:
    across, up = [dot.across for dot in dots if dot.across], [dot.up for dot in dots if dot.up]
    x, y = [dot.x for dot in dots], [dot.y for dot in dots]
    bars = {"error_x": _bars(x, across) if across else None, "error_y": _bars(y, up) if up else None}
    return {"x": x, "y": y, **{name: bar for name, bar in bars.items() if bar}}


def _bars(values: Sequence[float], bounds: Sequence[tuple[float, float]]) -> dict[str, object]:
    pairs = list(zip(values, bounds, strict=True))
    return {
        "type": "data",
        "symmetric": False,
        "thickness": 1.5,
        "width": 4,
        "array": [high - value for value, (_, high) in pairs],
        "arrayminus": [value - low for value, (low, _) in pairs],
    }


def _curves(runs: Rows, axis: str, values: Callable[[Finding], list[float]]) -> go.Figure:
    figure = blank_figure(height=280)
    for number, (run, rows) in enumerate(runs):
        for row in rows:
            if row.curve:
                title, told = f"{run}: {row.title}", values(row)
                figure.add_scatter(
                    **_look(number, row.method, title), x=list(range(1, len(told) + 1)), y=told
                )
    figure.update_xaxes(title="epoch", tickformat="d")
    figure.update_yaxes(title=axis)
    return figure


def _look(number: int, method: str, title: str) -> dict[str, object]:
    color = _RUN_COLORS[number % len(_RUN_COLORS)]
    return {
        "mode": "lines+markers",
        "name": title,
        "line": {"color": color, "width": 1},
        "marker": {"size": 10, "color": color, "symbol": MARKERS.get(method, "circle")},
        "hovertemplate": "%{fullData.name}<br>%{x:.4g}: %{y:.4g}<extra></extra>",
    }
