"""What is to be measured of a device."""

from __future__ import annotations

import streamlit as st

from app.controls import widgets
from app.controls.widgets import BATCHES
from app.state import settings
from app.words import formats
from app.words.help_texts import HELP
from bcbp.device_request import RATIOS, DeviceRequest


def device_settings(device: str) -> DeviceRequest:
    """What to measure of a device. Raises SpecError for settings that cannot be carried out."""
    default, scope = DeviceRequest(), settings.scope()
    batches = st.pills(
        "Batch sizes to time",
        BATCHES,
        default=default.batches,
        selection_mode="multi",
        key="device_batches",
        persist_state="session",
        help=HELP["device_batches"],
    )
    with st.expander("More settings", icon=":material/tune:"):
        ratios = st.pills(
            "Ratios to time",
            (0.1, *RATIOS),
            default=RATIOS,
            format_func=formats.ratio_percent,
            selection_mode="multi",
            key="device_ratios",
            persist_state="session",
            help=HELP["device_ratios"],
        )
        rounds = widgets.rounds("device_rounds")
        again = st.toggle("Measure again", key="device_again", persist_state="session", help=HELP["again"])
    return DeviceRequest(
        model=scope.model,
        device=device,
        tile=scope.tile,
        ratios=tuple(sorted(ratios)),
        batches=tuple(sorted(batches)),
        rounds=rounds,
        again=again,
    )
