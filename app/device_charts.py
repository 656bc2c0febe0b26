"""The crossover map as a figure: a colour, a sign and a number in every cell, never a colour alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from app import wording
from app.charts import OTHER, blank_figure
from bcbp.crossover import DECLINED, LOSES, NOT_MEASURED, UNCLEAR, WINS, Spot

# White text has at least 4.5:1 on each. Blue and orange stay apart in every kind of colour-blindness; the
# signs tell them apart without any colour.
FILLS = {WINS: "#1D5FD1", UNCLEAR: "#737373", LOSES: "#B45309", DECLINED: "#3F4650"}
SIGNS = {WINS: "▲", UNCLEAR: "≈", LOSES: "▼", DECLINED: "✕", NOT_MEASURED: "–"}
_ROW_PIXELS, _FRAME_PIXELS = 28, 70
# With more columns, a cell on a phone has no room for sign and number: the sign stays.
_MOST_NUMBERS = 5


@dataclass(frozen=True)
class MapLine:
    """One layer of the map: its label, and a spot per ratio."""

    label: str
    spots: tuple[Spot, ...]


def crossover_map(lines: Sequence[MapLine], ratios: Sequence[float]) -> go.Figure:
    """Layers down, ratios across; what was not measured stays empty but for its sign."""
    figure = blank_figure(height=_FRAME_PIXELS + _ROW_PIXELS * len(lines))
    columns = [wording.ratio_percent(ratio) for ratio in ratios]
    states, numbers = list(FILLS), len(ratios) <= _MOST_NUMBERS
    figure.add_heatmap(
        x=columns,
        y=[line.label for line in lines],
        z=[[states.index(spot.state) if spot.row else None for spot in line.spots] for line in lines],
        zmin=-0.5,
        zmax=len(states) - 0.5,
        colorscale=_steps([FILLS[state] for state in states]),
        showscale=False,
        text=[[_text(spot, with_number=numbers) for spot in line.spots] for line in lines],
        texttemplate="%{text}",
        textfont={"color": "#FFFFFF", "size": 12},
        customdata=[[_explained(spot) for spot in line.spots] for line in lines],
        hovertemplate="<b>%{y}</b>, %{x} removed<br>%{customdata}<extra></extra>",
        xgap=3,
        ygap=3,
    )
    _add_gaps(figure, lines, columns)
    figure.update_xaxes(title="ratio removed", type="category", showgrid=False, fixedrange=True)
    figure.update_yaxes(autorange="reversed", type="category", showgrid=False, fixedrange=True)
    return figure


def _add_gaps(figure: go.Figure, lines: Sequence[MapLine], columns: Sequence[str]) -> None:
    """The sign of what was not measured, in a grey that reads on both backgrounds."""
    gaps = [
        (column, line.label)
        for line in lines
        for column, spot in zip(columns, line.spots, strict=True)
        if spot.row is None
    ]
    figure.add_scatter(
        x=[column for column, _ in gaps],
        y=[label for _, label in gaps],
        mode="text",
        text=[SIGNS[NOT_MEASURED]] * len(gaps),
        textfont={"color": OTHER, "size": 14},
        hovertemplate=f"<b>%{{y}}</b>, %{{x}} removed<br>{NOT_MEASURED}<extra></extra>",
        showlegend=False,
    )


def _steps(colors: Sequence[str]) -> list[list[object]]:
    """A colour scale of equal steps without blends."""
    count = len(colors)
    return [[edge / count, color] for i, color in enumerate(colors) for edge in (i, i + 1)]


def _text(spot: Spot, *, with_number: bool) -> str:
    gain = spot.row.row.speedup if spot.row else None
    return SIGNS[spot.state] + (f" {wording.times(gain)}" if with_number and gain is not None else "")


def _explained(spot: Spot) -> str:
    """What a cell says when it is pointed at: numbers of the file alone, none of its words."""
    row = spot.row.row if spot.row else None
    if row is None or row.median_ms is None or row.speedup is None or row.interval is None:
        return spot.state
    unsteady = "<br>the clock was unsteady" if row.noisy else ""
    return (
        f"{spot.state}: {wording.times(row.speedup)} "
        f"(95 % interval {wording.interval(row.interval, wording.times)})<br>"
        f"{wording.milliseconds(row.median_ms)} sparse{unsteady}"
    )
