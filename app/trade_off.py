"""Accuracy over latency: which rows another clearly beats, and the picture of it. Pure: no Streamlit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from app.charts import MARKERS, OTHER, blank_figure, method_color
from app.words import formats

Interval = tuple[float, float]
_FADED = 0.35
_WORD = 0.04  # half the width of a ratio's words, as a share of the axis; more on a phone


@dataclass(frozen=True)
class Point:
    """A measured row: latency in ms with quartiles, accuracy in [0, 1] with its 95 % interval.

    `title` is the method's name, `ratio` a few characters beside the marker, none where all are of one ratio.
    `lost` is whether it loses so much accuracy that its speed does not matter.
    """

    method: str
    title: str
    ratio: str
    latency: float
    quartiles: Interval
    accuracy: float
    interval: Interval
    lost: bool = False

    def clearly_beats(self, other: Point) -> bool:
        """On both axes, with intervals that do not meet."""
        return self.quartiles[1] < other.quartiles[0] and self.interval[0] > other.interval[1]


def pareto_front(points: Sequence[tuple[float, float]]) -> tuple[int, ...]:
    """Indices of (cost, value) points that no other beats on both, by rising cost.

    >>> pareto_front([(1.0, 0.5), (2.0, 0.9), (3.0, 0.8)])
    (0, 1)
    """
    front: list[int] = []
    best = float("-inf")
    for index in sorted(range(len(points)), key=lambda i: (points[i][0], -points[i][1])):
        if points[index][1] > best:
            front.append(index)
            best = points[index][1]
    return tuple(front)


def beaten(points: Sequence[Point]) -> tuple[bool, ...]:
    """Whether any other point clearly beats each."""
    return tuple(any(other.clearly_beats(point) for other in points) for point in points)


def trade_off(points: Sequence[Point], *, focus: str) -> go.Figure:
    """A colour a method, its points joined as they come; faded what is clearly beaten.

    Dotted is the front of what has not lost its accuracy. The ratios stand above the bars of the method in
    `focus`: those of all would not fit a phone, and beside the points other methods' points cover them.
    """
    figure = blank_figure(height=400)
    fit = [point for point in points if not point.lost]
    front = [fit[index] for index in pareto_front([(point.latency, point.accuracy) for point in fit])]
    figure.add_scatter(
        x=[point.latency for point in front],
        y=[100 * point.accuracy for point in front],
        mode="lines",
        line={"color": OTHER, "width": 1.5, "dash": "dot"},
        name="best trade-offs",
        hoverinfo="skip",
    )
    faded = dict(zip(points, beaten(points), strict=True))
    for method in dict.fromkeys(point.method for point in points):
        own = [point for point in points if point.method == method]
        figure.add_scatter(**_trace(own, faded))
        if method == focus:
            figure.add_scatter(**_ratios(own, points))
    figure.update_xaxes(title="latency, ms per batch (less is better)", rangemode="tozero")
    figure.update_yaxes(title="test accuracy, %")
    return figure


def _trace(points: Sequence[Point], faded: dict[Point, bool]) -> dict[str, object]:
    """One method: markers with error bars both ways, joined by a thin line."""
    method, color = points[0].method, method_color(points[0].method)
    bars = {"type": "data", "symmetric": False, "thickness": 1.5, "width": 4, "color": color}
    x, y = [point.latency for point in points], [100 * point.accuracy for point in points]
    across, up = [point.quartiles for point in points], [point.interval for point in points]
    return {
        "x": x,
        "y": y,
        "mode": "lines+markers",
        "cliponaxis": False,
        "name": points[0].title,
        "line": {"color": color, "width": 1},
        "marker": {
            "size": 12,
            "color": color,
            "symbol": MARKERS.get(method, "circle"),
            "opacity": [_FADED if faded[point] else 1.0 for point in points],
        },
        "error_x": bars | _reaches(x, across),
        "error_y": bars | _reaches(y, [(100 * low, 100 * high) for low, high in up]),
        "hovertemplate": "%{customdata}<extra></extra>",
        "customdata": [_words(point, beaten=faded[point]) for point in points],
    }


def _ratios(points: Sequence[Point], among: Sequence[Point]) -> dict[str, object]:
    """The ratio of each point, above its bar and those that its words would lie on."""
    near = _WORD * max(point.latency for point in among)
    tops = [
        max(other.interval[1] for other in among if abs(other.latency - point.latency) <= near)
        for point in points
    ]
    return {
        "x": [point.latency for point in points],
        "y": [100 * top for top in tops],
        "mode": "text",
        "text": [point.ratio for point in points],
        "textposition": "top center",
        "textfont": {"size": 12},
        "cliponaxis": False,
        "showlegend": False,
        "hoverinfo": "skip",
    }


def _reaches(values: Sequence[float], bounds: Sequence[Interval]) -> dict[str, list[float]]:
    pairs = list(zip(values, bounds, strict=True))
    return {
        "array": [high - value for value, (_, high) in pairs],
        "arrayminus": [value - low for value, (low, _) in pairs],
    }


def _words(point: Point, *, beaten: bool) -> str:
    low, high = point.quartiles
    bottom, top = (100 * bound for bound in point.interval)
    return (
        f"<b>{point.title} {point.ratio}</b><br>"
        f"{formats.milliseconds(point.latency)} (quartiles {low:.3g} to {high:.3g})<br>"
        f"{100 * point.accuracy:.2f} % correct (95 % interval {bottom:.2f} to {top:.2f})"
        + ("<br>another is clearly better on both" if beaten else "")
    )
