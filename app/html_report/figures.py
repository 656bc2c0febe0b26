"""A Plotly figure as the markup that `page.js` draws."""

from __future__ import annotations

import json

import plotly.graph_objects as go

from app.html_report.html import Html, data, element, join


def figure(identity: str, drawn: go.Figure, alt: str) -> Html:
    """A figure that the script draws; its numbers stand in the table that follows."""
    plain = json.loads(go.Figure(drawn).update_layout(template=None).to_json())
    missing = element("p", "This figure needs JavaScript. The table has its numbers.", class_="note")
    return join(
        element("div", missing, class_="plot", data_figure=identity, role="img", aria_label=alt),
        data(identity, plain),
    )
