"""How far a background job is, the same for every kind."""

from __future__ import annotations

from typing import Any

import streamlit as st

from app.services import jobs, owners
from app.words import formats, frame_words, run_words
from app.words.help_texts import HELP
from bcbp.jobs import RunView

# Timing shares the machine with the page, so the page looks rarely.
LOOK_SECONDS = 2.0
STEP_ICONS = {
    "waiting": ":material/radio_button_unchecked:",
    "running": ":material/pending:",
    "done": ":material/check_circle:",
    "failed": ":material/error:",
}
# A longer list would push everything else off the screen.
_MOST_STEPS = 10


def job_status(run: RunView[Any]) -> None:
    """State, queue position, steps, progress and time left; of somebody else's job not what it is about."""
    progress, mine = run.progress, owners.is_mine(owners.RUNS, run.id)
    title = formats.literal(run.title) if mine else frame_words.SOMEBODYS
    st.markdown(f"**{title}**: {run_words.run_state(run.state)}")
    if run.state == "queued":
        st.caption(progress.message or run_words.queue_position(jobs.queue().position(run.id)))
    elif run.active:
        text = run_words.progress_text(progress.stage, progress.message, progress.seconds_left)
        st.progress(min(1.0, progress.fraction), text=text if mine else None)
    if not mine:
        return
    if run.error:
        st.error(run.error, icon=":material/error:")
    if progress.steps:
        with st.expander(
            "Steps", expanded=run.active and len(progress.steps) <= _MOST_STEPS, icon=":material/checklist:"
        ):
            st.markdown("  \n".join(f"{STEP_ICONS[step.state]} {step.label}" for step in progress.steps))


def stop_button(run: RunView[Any], *, key: str) -> None:
    """Stop the job, for who started it; what it has finished is kept."""
    if not owners.is_mine(owners.RUNS, run.id):
        st.caption(frame_words.NOT_YOURS)
        return
    st.button(
        "Stop",
        icon=":material/stop_circle:",
        key=key,
        on_click=jobs.stop,
        args=(run.id,),
        help=HELP["stop"],
    )
