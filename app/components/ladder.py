"""The recovery ladder: what each rung brings a method, and how long it takes."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from app.controls import widgets
from app.finding_figures import ladder_figure
from app.findings import Finding
from app.result_lines import ladder_lines
from app.words import run_words
from app.words.help_texts import HELP


def lines(rows: Sequence[Finding]) -> pd.DataFrame:
    """`ladder_lines` as a table."""
    return pd.DataFrame(ladder_lines(rows))


def ladder(rows: Sequence[Finding], *, key: str) -> None:
    """Chart and table of every method with a ladder; nothing where there is none."""
    climbed = [row for row in rows if row.ladder]
    if not climbed:
        return
    st.subheader(run_words.LADDER)
    widgets.show_chart(ladder_figure(climbed), key=f"{key}_chart", alt=run_words.LADDER_ALT)
    st.caption(run_words.LADDER_NOTE)
    column = st.column_config.TextColumn
    st.dataframe(
        lines(climbed),
        key=key,
        hide_index=True,
        column_config={
            "Method": column(pinned=True),
            "Against the rung below": column(help=HELP["rung"]),
            "Time": column(help=HELP["rung_seconds"]),
        },
        alt=run_words.LADDER,
    )
