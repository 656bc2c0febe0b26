"""The recovery ladder: what each rung brings a method, and how long it takes."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from app import charts, controls, wording
from app.findings import Finding, Rung, paired_text
from app.help_texts import HELP


def lines(rows: Sequence[Finding]) -> pd.DataFrame:
    """One line a rung and method, lowest rung first."""
    return pd.DataFrame([_line(row, index) for row in rows for index in range(len(row.ladder))])


def _line(row: Finding, index: int) -> dict[str, object]:
    rung = row.ladder[index]
    return {
        "Method": row.title,
        "Recovery": rung.title,
        "Kept": "✓" if rung.kept else "",
        "Accuracy": wording.percent(rung.accuracy.share, 2),
        "Interval": wording.interval(rung.accuracy.interval, lambda share: wording.percent(share, 2)),
        "± points": _gain(rung, row.ladder[index - 1]) if index else "",
        "Against the rung below": paired_text(rung.against_below),
        "Time": wording.seconds(rung.seconds),
    }


def _gain(rung: Rung, below: Rung) -> str:
    return wording.points(rung.accuracy.share - below.accuracy.share)


def ladder(rows: Sequence[Finding], *, key: str) -> None:
    """Chart and table of every method with a ladder; nothing where there is none."""
    climbed = [row for row in rows if row.ladder]
    if not climbed:
        return
    st.subheader(wording.LADDER)
    steps = [(row.method, row.title, [_step(rung) for rung in row.ladder]) for row in climbed]
    controls.show_chart(charts.ladder(steps), key=f"{key}_chart", alt=wording.LADDER_ALT)
    st.caption(wording.LADDER_NOTE)
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
        alt=wording.LADDER,
    )


def _step(rung: Rung) -> charts.Step:
    return charts.Step(rung.title, rung.accuracy.share, rung.accuracy.interval)
