"""Which ratios a comparison measures: the one above, or several."""

from __future__ import annotations

import streamlit as st

from app.words import compare_words, formats
from app.words.help_texts import HELP
from bcbp.allocation import ALLOCATIONS
from bcbp.errors import SpecError

OFFERED = tuple(tenth / 10 for tenth in range(1, 10))
USUAL = (0.3, 0.5, 0.7)


def ratio_choice(allocation: str) -> tuple[float, ...]:
    """Several ratios, ascending; none where the one of the scope is meant. Raises SpecError without any."""
    if not ALLOCATIONS[allocation].follows_ratio:
        st.caption(compare_words.RATIO_FOLLOWS)
        return ()
    mode = st.segmented_control(
        "Ratios",
        (compare_words.ONE, compare_words.SEVERAL),
        default=compare_words.ONE,
        key="run_ratio_mode",
        persist_state="session",
        required=True,
        help=HELP["ratios"],
    )
    if mode == compare_words.ONE:
        return ()
    chosen = st.pills(
        "Ratios to measure",
        OFFERED,
        default=USUAL,
        format_func=formats.ratio_percent,
        selection_mode="multi",
        key="run_ratios",
        persist_state="session",
        label_visibility="collapsed",
    )
    if not chosen:
        raise SpecError(compare_words.NO_RATIO)
    return tuple(sorted(chosen))
