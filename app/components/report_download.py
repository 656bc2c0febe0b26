"""Results as one HTML file, made when it is asked for."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from app.words.help_texts import HELP


def report_download(make: Callable[[], bytes], *, name: str, key: str) -> None:
    """A button for the file that `make` gives, under a `name` of its own."""
    st.download_button(
        "Report (HTML)",
        make,
        file_name=f"bcbp-report-{name}.html",
        mime="text/html",
        icon=":material/description:",
        key=key,
        help=HELP["html_report"],
        on_click="ignore",
    )
