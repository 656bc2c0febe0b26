"""The picture of blocks that run side by side: pure, from counts to a figure."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from app.charts import blank_figure
from app.words.idea_words import WORK

_WAITING = "#909396"


def blocks(kept: Sequence[int], *, color: str, longest: int) -> go.Figure:
    """A bar for each block: its `kept` columns, then hatched what it waits for the slowest of them.

    `longest` is the end of the axis, so that two pictures can be compared.
    """
    names = [f"block {number + 1}" for number in range(len(kept))]
    figure = blank_figure(height=60 + 26 * len(kept))
    figure.add_bar(
        y=names,
        x=list(kept),
        orientation="h",
        marker_color=color,
        name="works",
        hovertemplate="%{y}: %{x} columns<extra>works</extra>",
    )
    figure.add_bar(
        y=names,
        x=[max(kept) - count for count in kept],
        orientation="h",
        marker={"color": "rgba(0,0,0,0)", "line": {"color": _WAITING, "width": 1}},
        marker_pattern={"shape": "/", "fgcolor": _WAITING, "size": 6},
        name="waits",
        hovertemplate="%{y} waits for %{x} columns<extra>waits</extra>",
    )
    figure.update_xaxes(title=WORK, range=[0, longest * 1.02])
    figure.update_yaxes(autorange="reversed", showgrid=False)
    figure.update_layout(barmode="stack", bargap=0.25, showlegend=True)
    return figure
