"""How fine-tuning goes: loss and validation accuracy over the epochs, while it runs and after."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from app.controls import widgets
from app.finding_figures import curve_figures
from app.findings import Finding
from app.words import run_words


def curves(rows: Sequence[Finding], *, key: str) -> None:
    """Two charts of every method that has an epoch; nothing where none has."""
    tuned = [row for row in rows if row.curve]
    if not tuned:
        return
    st.subheader(run_words.CURVES)
    losses, right = curve_figures(tuned)
    loss, accuracy = st.columns(2)
    with loss:
        widgets.show_chart(losses, key=f"{key}_loss", alt=run_words.LOSS_ALT)
    with accuracy:
        widgets.show_chart(right, key=f"{key}_right", alt=run_words.VALIDATION_ALT)
    st.caption(run_words.CURVES_NOTE)
