"""Data in, Plotly figures out. Pure: no Streamlit here, and every figure stays small."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from app.words import formats
from bcbp.mask import Mask

# One colour and one marker per method everywhere. Chosen by search: each has at least 3:1 contrast on the
# light and the dark background, and the first five stay apart under simulated protanopia, deuteranopia and
# tritanopia.
COLORS = {
    "dense": "#909396",
    "filter": "#CD7801",
    "block": "#067068",
    "column": "#8540C4",
    "bcbp": "#5494F1",
    "unstructured": "#B8476F",
    "2:4": "#8A6D3B",
}
MARKERS = {
    "dense": "square",
    "filter": "triangle-up",
    "block": "diamond",
    "column": "x",
    "bcbp": "circle",
    "unstructured": "star",
    "2:4": "hexagon",
}
OTHER = "#7A7F87"
_GRID = "rgba(128, 132, 140, 0.25)"

# Beyond this many tiles, pairs of bars are thinner than a pixel or two: steps read better.
_MOST_BARS = 32
# Up to so many tiles each has its tick, so that none stands between two.
_MOST_TICKS = 16

# Columns of the binned heatmap: about one per pixel of a wide screen, 30 KiB for 16 tiles.
HEATMAP_BINS = 480


def method_color(method: str) -> str:
    return COLORS.get(method, OTHER)


@dataclass(frozen=True)
class Step:
    """One rung of one method: accuracy in [0, 1] with its interval."""

    rung: str
    accuracy: float
    interval: tuple[float, float]


def ladder(methods: Sequence[tuple[str, str, Sequence[Step]]]) -> go.Figure:
    """Accuracy over the rungs of the ladder, a line per (method, title, steps), with intervals."""
    figure = blank_figure(height=300)
    for method, title, steps in methods:
        values = [100 * step.accuracy for step in steps]
        figure.add_scatter(
            x=[step.rung for step in steps],
            y=values,
            mode="lines+markers",
            name=title,
            line={"color": method_color(method)},
            marker={"size": 9, "symbol": MARKERS.get(method, "circle")},
            error_y={
                "type": "data",
                "symmetric": False,
                "array": [100 * step.interval[1] - y for step, y in zip(steps, values, strict=True)],
                "arrayminus": [y - 100 * step.interval[0] for step, y in zip(steps, values, strict=True)],
            },
            hovertemplate=f"<b>{title}</b><br>%{{x}}: %{{y:.2f}} % correct<extra></extra>",
        )
    figure.update_yaxes(title="test accuracy, %")
    return figure


def curve(methods: Sequence[tuple[str, str, Sequence[float]]], *, axis: str) -> go.Figure:
    """One figure of fine-tuning over its epochs, a line per (method, title, values from epoch 1 on)."""
    figure = blank_figure(height=240)
    for method, title, values in methods:
        figure.add_scatter(
            x=list(range(1, len(values) + 1)),
            y=list(values),
            mode="lines+markers",
            name=title,
            line={"color": method_color(method)},
            marker={"size": 7, "symbol": MARKERS.get(method, "circle")},
            hovertemplate=f"<b>{title}</b><br>epoch %{{x}}: %{{y:.4g}}<extra></extra>",
        )
    figure.update_xaxes(title="epoch", tickformat="d")
    figure.update_yaxes(title=axis)
    return figure


def latency_bars(rows: Sequence[tuple[str, str, float, tuple[float, float]]]) -> go.Figure:
    """Latency per (method, title, median ms, quartiles), when there is no accuracy to set it against."""
    figure = blank_figure(height=60 + 44 * max(1, len(rows)))
    for method, title, median, (low, high) in rows:
        figure.add_bar(
            x=[median],
            y=[title],
            orientation="h",
            marker_color=method_color(method),
            error_x={
                "type": "data",
                "symmetric": False,
                "array": [high - median],
                "arrayminus": [median - low],
            },
            hovertemplate=f"<b>{title}</b><br>{formats.milliseconds(median)}<extra></extra>",
            name=title,
        )
    figure.update_xaxes(title="latency, ms per batch (less is better)", rangemode="tozero")
    figure.update_yaxes(autorange="reversed")
    figure.update_layout(showlegend=False)
    return figure


def kept_per_tile(masks: Sequence[tuple[str, str, Mask]]) -> go.Figure:
    """Columns kept by each tile, bars (or steps) per (method, title, mask): equal heights mean balance."""
    figure = blank_figure(height=210)
    for method, title, mask in masks:
        kept = mask.kept_per_tile.tolist()
        common = {
            "x": list(range(len(kept))),
            "y": kept,
            "name": title,
            "hovertemplate": "tile %{x}: %{y} columns<extra>" + title + "</extra>",
        }
        if len(kept) <= _MOST_BARS:
            figure.add_bar(**common, marker_color=method_color(method))
        else:
            line = {"color": method_color(method), "shape": "hvh"}
            figure.add_scatter(**common, mode="lines", line=line)
    figure.update_xaxes(
        title="tile", tickformat="d", dtick=1 if len(masks[0][2].keep) <= _MOST_TICKS else None
    )
    figure.update_yaxes(title="columns kept", rangemode="tozero")
    figure.update_layout(showlegend=len(masks) > 1, barmode="group", bargap=0.15)
    return figure


def mask_heatmap(mask: Mask, method: str) -> go.Figure:
    """The share kept in equal bins of columns, for browsers where the canvas is not wanted."""
    share, high, wide = _binned_share(mask)
    figure = blank_figure(height=260)
    figure.add_heatmap(
        z=share,
        x0=wide / 2,
        dx=wide,
        y0=(high - 1) / 2,  # a tile's number at its middle
        dy=high,
        zmin=0,
        zmax=100,
        colorscale=[[0, "rgba(128,132,140,0.12)"], [1, method_color(method)]],
        colorbar={"title": "% kept", "thickness": 10},
        hovertemplate="tile %{y:.0f}, column %{x:.0f}: %{z} % kept<extra></extra>",
    )
    figure.update_xaxes(title=f"column ({wide} to a bin)", showgrid=False)
    step = 1 if len(mask.keep) <= _MOST_TICKS else None
    figure.update_yaxes(title="tile", autorange="reversed", showgrid=False, tickformat="d", dtick=step)
    return figure


def _binned_share(mask: Mask) -> tuple[np.ndarray, int, int]:
    """Kept share of each bin in whole percent, uint8, and the bin's tiles and columns."""
    cells = (mask.keep * (mask.rows_per_tile / mask.tile.heights(len(mask.rows)))[:, None]).numpy()
    high, wide = -(-cells.shape[0] // 64), -(-cells.shape[1] // HEATMAP_BINS)
    sums = np.add.reduceat(cells, np.arange(0, cells.shape[0], high), axis=0)
    sums = np.add.reduceat(sums, np.arange(0, cells.shape[1], wide), axis=1)
    ones = np.add.reduceat(np.ones_like(cells), np.arange(0, cells.shape[0], high), axis=0)
    ones = np.add.reduceat(ones, np.arange(0, cells.shape[1], wide), axis=1)
    return np.round(100 * sums / ones).astype(np.uint8), high, wide


def blank_figure(*, height: int) -> go.Figure:
    """Transparent, quiet, and readable at 390 px; Streamlit's theme supplies fonts and text colours."""
    figure = go.Figure()
    figure.update_layout(
        height=height,
        margin={"l": 8, "r": 8, "t": 24, "b": 8},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        hoverlabel={"align": "left"},
    )
    figure.update_xaxes(gridcolor=_GRID, zeroline=False, automargin=True)
    figure.update_yaxes(gridcolor=_GRID, zeroline=False, automargin=True)
    return figure
