"""How to fine-tune, asked only where it is to be done."""

from __future__ import annotations

import streamlit as st

from app.titles import OPTIMIZER_TITLES, SCHEDULE_TITLES, TUNING_PRECISION_TITLES
from app.words.help_texts import HELP
from bcbp.recovery.tuning import MAX_RATE, MIN_RATE, Tuning
from bcbp.training import USUAL_RATES

EPOCHS = (1, 2, 3, 5, 10, 20)
DISTILLATION = 0.5  # its share of the loss where it is switched on


def read() -> Tuning:
    """What every method is trained with. Raises SpecError for settings that cannot be carried out."""
    default = Tuning()
    with st.container(horizontal=True, vertical_alignment="bottom"):
        epochs = st.segmented_control(
            "Epochs",
            EPOCHS,
            default=default.epochs,
            key="run_epochs",
            persist_state="session",
            required=True,
            help=HELP["epochs"],
        )
        distill = st.toggle("Distillation", key="run_distill", persist_state="session", help=HELP["distill"])
    with st.container(horizontal=True, vertical_alignment="bottom"):
        optimizer = _one_of("Optimizer", OPTIMIZER_TITLES, default.optimizer, key="optimizer")
        schedule = _one_of("Schedule", SCHEDULE_TITLES, default.schedule, key="schedule")
        precision = _one_of("Trains in", TUNING_PRECISION_TITLES, default.precision, key="tuning_precision")
        rate = st.number_input(
            "Peak rate",
            MIN_RATE,
            MAX_RATE,
            USUAL_RATES[optimizer],
            step=USUAL_RATES[optimizer] / 10,
            format="%.4g",
            key=f"run_rate_{optimizer}",
            persist_state="session",
            width=180,
            help=HELP["rate"],
        )
    return Tuning(
        epochs=epochs,
        distill=DISTILLATION if distill else 0.0,
        optimizer=optimizer,
        schedule=schedule,
        precision=precision,
        rate=rate,
    )


def _one_of(label: str, titles: dict[str, str], default: str, *, key: str) -> str:
    return st.segmented_control(
        label,
        tuple(titles),
        default=default,
        format_func=titles.__getitem__,
        key=f"run_{key}",
        persist_state="session",
        required=True,
        help=HELP[key],
    )
