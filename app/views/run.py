"""Run: one button, what is happening, and results as they arrive."""

from __future__ import annotations

import streamlit as st

from app import findings
from app.asked import asked_of, one_line
from app.components.curves import curves
from app.components.job_status import LOOK_SECONDS, job_status, stop_button
from app.components.ladder import ladder
from app.components.results_table import results_table
from app.controls import run_settings, widgets
from app.services import jobs, machine, owners
from app.state import messages, selection
from app.titles import METHOD_TITLES
from app.words import compare_words, formats, run_words
from app.words.help_texts import HELP
from bcbp.errors import BcbpError, SpecError
from bcbp.jobs import RunNotFound, RunView
from bcbp.request import CompareRequest


def current_run() -> RunView[CompareRequest] | None:
    """The run of the link or of this session; a link to a run that is not here is said and dropped."""
    run_id = selection.run_id()
    if run_id is None:
        return None
    try:
        return jobs.comparison(run_id)
    except RunNotFound:
        st.warning(run_words.NO_RUN_SELECTED, icon=":material/link_off:")
        selection.set_run(None)
        return None


def settings() -> CompareRequest | None:
    """What will be measured, or None with the reason on the screen."""
    try:
        request = run_settings.read()
    except SpecError as error:
        st.error(str(error), icon=":material/error:")
        return None
    if not request.pruned_methods:
        st.info(run_words.NO_METHOD, icon=":material/touch_app:")
        return None
    if request.locked:
        st.caption(request.locked)
    return request


def summary(request: CompareRequest) -> None:
    """Everything that the button is about to measure, in one line."""
    try:
        told = run_settings.asked(request)
    except BcbpError as error:  # the run will say the same of its plan
        st.warning(formats.literal(str(error)), icon=":material/warning:")
    else:
        st.caption(one_line(told))


def start(request: CompareRequest) -> None:
    selection.set_run(jobs.submit(request))


def button(run: RunView[CompareRequest] | None, request: CompareRequest | None) -> None:
    """Run, or Stop while the run in focus is active; beside somebody else's, which only they stop, Run."""
    if run is not None and run.active:
        stop_button(run, key="stop_run")
        if owners.is_mine(owners.RUNS, run.id):
            return
    pressed = st.button(
        compare_words.run_label(
            len(request.pruned_methods) if request else 0, len(request.asked_ratios) if request else 1
        ),
        type="primary",
        icon=":material/play_arrow:",
        key="start",
        disabled=request is None,
    )
    if request is not None:
        summary(request)
    if request is not None and (pressed or messages.take_request()):
        start(request)
        st.rerun()


def partial_results(run: RunView[CompareRequest]) -> None:
    """Rows as they arrive."""
    report = run.report or {}
    if not report.get("rows"):
        st.caption(run_words.NO_ROWS_YET)
        return
    batches, ratios = findings.batches(report), findings.ratios(report)
    batch = batches[0] if batches else None
    rows = findings.findings(report, batch=batch, titles=METHOD_TITLES)
    ratio = findings.newest_ratio(rows) if len(ratios) > 1 else None
    st.caption(compare_words.other_results(batch, len(batches), ratio))
    results_table(rows, key=f"live_{run.id}_{batch}")
    newest = findings.at_ratio(rows, ratio)
    ladder(newest, key=f"live_ladder_{run.id}")
    curves(newest, key=f"live_curves_{run.id}")


def live() -> None:
    """The part that repeats while a run is active; when it ends, the whole page runs once more."""
    run = current_run()
    if run is None:
        return
    if not run.active and was_active:
        st.rerun()
    job_status(run)
    st.caption(one_line(asked_of(run)))
    if not run.active and st.button(run_words.TO_COMPARE, icon=":material/balance:", key="to_compare"):
        widgets.go_to("compare")
    partial_results(run)


in_focus = current_run()
was_active = in_focus is not None and in_focus.active
first = st.container()  # what happens now, while something does
wanted = settings()
with first if was_active else st.container():
    button(in_focus, wanted)
    st.caption(run_words.environment_line(machine.conditions()), help=HELP["environment"])
    if in_focus is None:
        st.info(run_words.NO_RUN, icon=":material/hourglass_empty:")
    else:
        (st.fragment(live, run_every=LOOK_SECONDS) if was_active else live)()
