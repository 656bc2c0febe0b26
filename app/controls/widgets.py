"""Small parts that several pages share."""

from __future__ import annotations

import streamlit as st

from app.words.help_texts import HELP
from bcbp.request import CompareRequest

BATCHES = (1, 8, 32, 64)
ROUNDS = (9, 15, 31, 61)


def go_to(page: str) -> None:
    """Open another page. Without `query_params` Streamlit refuses to: it would have to drop bound ones."""
    st.switch_page(f"views/{page}.py", query_params={})


def figures(*shown: tuple[str, str, str | None]) -> None:
    """(Label, value, help) side by side, wrapping on small screens: containers keep a least width there."""
    with st.container(horizontal=True):
        for label, value, explanation in shown:
            with st.container():
                st.metric(label, value, border=True, help=explanation)


def show_chart(figure: object, *, key: str, alt: str) -> None:
    """A chart without the toolbar that only crowds small screens."""
    st.plotly_chart(figure, key=key, config={"displayModeBar": False}, alt=alt)


def rounds(key: str) -> int:
    return st.segmented_control(
        "Timing rounds",
        ROUNDS,
        default=CompareRequest().rounds,
        key=key,
        persist_state="session",
        required=True,
        help=HELP["rounds"],
    )
