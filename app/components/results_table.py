"""Every measured figure with its interval, one line a method."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from app.findings import Finding
from app.result_lines import result_lines
from app.words.help_texts import HELP


def results(rows: Sequence[Finding]) -> pd.DataFrame:
    """`result_lines` as a table."""
    return pd.DataFrame(result_lines(rows))


def results_table(rows: Sequence[Finding], *, key: str) -> None:
    """Show `results`, the method pinned so that it stays in sight on a phone."""
    column = st.column_config.TextColumn
    st.dataframe(
        results(rows),
        key=key,
        hide_index=True,
        height="content",
        column_config={
            "Method": column(pinned=True),
            "Limit": column(help=HELP["limit"]),
            "Predicted": column(help=HELP["predicted"]),
            "Speed": column(help=HELP["speedup"]),
            "95 % interval": column(help=HELP["speed_interval"]),
            "WIT before → after": column(help=HELP["wit"]),
            "Against dense": column(help=HELP["paired"]),
            "± points": column(help=HELP["points"]),
        },
        alt="Measured figures of every method",
    )
