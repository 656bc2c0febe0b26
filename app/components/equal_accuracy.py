"""At most so much accuracy lost: which method is fastest here, and what each of them offers."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from app import findings
from app.result_lines import choice_line
from app.titles import METHOD_TITLES
from app.words import compare_words, formats
from app.words.help_texts import HELP
from bcbp.equal_accuracy import equal_accuracy, sentence
from bcbp.rows import goes_by_ratio

LIMITS = (0.0, 10.0)  # points of accuracy


def equal_accuracy_section(report: dict[str, Any], *, batch: str | None, key: str) -> None:
    """The limit, the answer in one sentence, and a line a method."""
    st.subheader(compare_words.EQUAL_ACCURACY, help=HELP["equal_accuracy"])
    low, high = LIMITS
    points = st.number_input(
        compare_words.LIMIT, low, high, value=1.0, step=0.5, format="%.4g", key=f"{key}_limit", width=280
    )
    answer = equal_accuracy(report, batch=batch or "", bound=points / 100)
    if answer is None:
        st.caption(compare_words.NO_EQUAL_ACCURACY)
        return
    st.markdown(f"**{formats.literal(sentence(answer, METHOD_TITLES))}**")
    st.dataframe(
        pd.DataFrame([choice_line(choice) for choice in answer.choices]),
        key=f"{key}_table",
        hide_index=True,
        column_config={
            "Method": st.column_config.TextColumn(pinned=True),
            "Points lost": st.column_config.TextColumn(help=HELP["points_lost"]),
            "Speed": st.column_config.TextColumn(help=HELP["speedup"]),
        },
        alt=compare_words.EQUAL_ACCURACY,
    )
    if len(findings.ratios(report)) == 1 and goes_by_ratio(report):
        st.caption(compare_words.ONE_RATIO)
