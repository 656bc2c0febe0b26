"""Things down, ratios across: a colour, a sign and a number in every cell, never a colour alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from app.charts import OTHER, blank_figure
from app.words import formats

# White text has at least 4.5:1 on each. Blue and orange stay apart in every kind of colour-blindness; the
# signs tell them apart without any colour.
GOOD, UNSURE, BAD, REFUSED = "#1D5FD1", "#737373", "#B45309", "#3F4650"
NONE = "–"
_ROW_PIXELS, _FRAME_PIXELS = 28, 70
# With more columns, a cell on a phone has no room for sign and number: the sign stays.
_MOST_NUMBERS = 5


@dataclass(frozen=True)
class Cell:
    """One cell: its state, sign and number, and the words it says when it is pointed at.

    Of a state that has no colour nothing is measured.
    """

    state: str
    sign: str
    number: str
    words: str


def state_map(
    lines: Sequence[tuple[str, Sequence[Cell]]], ratios: Sequence[float], fills: Mapping[str, str]
) -> go.Figure:
    """A line per (label, a cell per ratio); what was not measured stays empty but for its sign."""
    figure = blank_figure(height=_FRAME_PIXELS + _ROW_PIXELS * len(lines))
    columns, numbers = [formats.ratio_percent(ratio) for ratio in ratios], len(ratios) <= _MOST_NUMBERS
    states = list(fills)
    cells = [row for _, row in lines]
    figure.add_heatmap(
        x=columns,
        y=[label for label, _ in lines],
        z=[[states.index(cell.state) if cell.state in fills else None for cell in row] for row in cells],
        zmin=-0.5,
        zmax=len(states) - 0.5,
        colorscale=_steps(list(fills.values())),
        showscale=False,
        text=[[_text(cell, with_number=numbers) for cell in row] for row in cells],
        texttemplate="%{text}",
        textfont={"color": "#FFFFFF", "size": 12},
        customdata=[[cell.words for cell in row] for row in cells],
        hovertemplate="<b>%{y}</b>, %{x} removed<br>%{customdata}<extra></extra>",
        xgap=3,
        ygap=3,
    )
    _add_gaps(figure, lines, columns, fills)
    figure.update_xaxes(title="ratio removed", type="category", showgrid=False, fixedrange=True)
    figure.update_yaxes(autorange="reversed", type="category", showgrid=False, fixedrange=True)
    return figure


def _add_gaps(
    figure: go.Figure,
    lines: Sequence[tuple[str, Sequence[Cell]]],
    columns: Sequence[str],
    fills: Mapping[str, str],
) -> None:
    """The sign of what was not measured, in a grey that reads on both backgrounds."""
    gaps = [
        (column, label, cell)
        for label, cells in lines
        for column, cell in zip(columns, cells, strict=True)
        if cell.state not in fills
    ]
    figure.add_scatter(
        x=[column for column, _, _ in gaps],
        y=[label for _, label, _ in gaps],
        mode="text",
        text=[cell.sign for _, _, cell in gaps],
        textfont={"color": OTHER, "size": 14},
        customdata=[cell.words for _, _, cell in gaps],
        hovertemplate="<b>%{y}</b>, %{x} removed<br>%{customdata}<extra></extra>",
        showlegend=False,
    )


def _steps(colors: Sequence[str]) -> list[list[object]]:
    """A colour scale of equal steps without blends."""
    count = len(colors)
    return [[edge / count, color] for i, color in enumerate(colors) for edge in (i, i + 1)]


def _text(cell: Cell, *, with_number: bool) -> str:
    return f"{cell.sign} {cell.number}" if with_number and cell.number else cell.sign
