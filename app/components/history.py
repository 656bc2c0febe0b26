"""Every run on this machine: opened, named, taken away, taken in, deleted, and set side by side."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import streamlit as st

from app import compare_words, services, state, wording
from app.components.report_download import report_download
from app.help_texts import HELP
from app.html_report import page_of_several
from app.side_by_side import called, differences, shared_batches, side_by_side
from bcbp.errors import BcbpError
from bcbp.jobs import RunView
from bcbp.request import CompareRequest

Run = RunView[CompareRequest]
MOST = 6  # runs side by side


def history(runs: tuple[Run, ...], shown: Run | None) -> None:
    """A table in which a click opens a run; what can be done with the one that is open; several at once."""
    st.subheader(compare_words.HISTORY)
    if runs:
        _table(runs, shown)
    with st.container(horizontal=True):
        if shown is not None:
            _actions(shown)
        with st.popover("Import a run", icon=":material/upload:"):
            _import(key=f"import_run_{len(runs)}")
    if len(runs) > 1:
        _several(runs)


def _table(runs: tuple[Run, ...], shown: Run | None) -> None:
    event = st.dataframe(
        pd.DataFrame([_line(run) for run in runs]),
        hide_index=True,
        key=f"history_{len(runs)}_{shown.id if shown else ''}",
        on_select="rerun",
        selection_mode="single-row",
        alt="Runs on this machine, newest first",
    )
    if event.selection.rows and (picked := runs[event.selection.rows[0]].id) != (shown and shown.id):
        state.set_run(picked)
        st.rerun()


def _line(run: Run) -> dict[str, str]:
    return {
        "Started": wording.moment(run.created),
        "Name": run.name,
        "Run": run.request.title,
        "State": compare_words.IMPORTED if run.imported else wording.run_state(run.state),
        "Methods": ", ".join(services.METHOD_TITLES.get(name, name) for name in run.request.methods),
    }


def _actions(run: Run) -> None:
    """Name, run again, take away, delete: of a run that has ended. Names and ends belong to its owner."""
    mine = services.is_mine(services.RUNS, run.id)
    if mine:
        _rename(run)
    if run.active:
        return
    if st.button("Run again", icon=":material/replay:", key=f"again_{run.id}", help=HELP["run_again"]):
        state.set_run(services.submit(run.request))
        st.switch_page("views/run.py", query_params={})
    st.download_button(
        "Export run",
        lambda: services.export_run(run.id),
        file_name=f"bcbp-run-{run.id}.zip",
        mime="application/zip",
        icon=":material/archive:",
        key=f"export_run_{run.id}",
        help=HELP["export_run"],
        on_click="ignore",
    )
    if mine:
        _offer_to_delete(run)


def _rename(run: Run) -> None:
    with st.popover("Name", icon=":material/edit:"):
        name = st.text_input("Name of this run", value=run.name, max_chars=80, key=f"name_{run.id}")
        if st.button("Save", key=f"save_{run.id}"):
            _do(lambda: services.rename_run(run.id, name))


def _offer_to_delete(run: Run) -> None:
    with st.popover("Delete", icon=":material/delete:"):
        st.markdown(compare_words.delete(wording.literal(run.title), wording.moment(run.created)))
        if st.button("Delete for good", type="primary", key=f"delete_{run.id}"):
            _do(lambda: _delete(run.id))


def _do(act: Callable[[], None]) -> None:
    """Carry out and show the page anew; what stands in the way is said here."""
    try:
        act()
    except BcbpError as error:
        st.error(wording.literal(str(error)), icon=":material/error:")
    else:
        st.rerun()


def _delete(run_id: str) -> None:
    services.delete_run(run_id)
    state.set_run(None)


def _import(*, key: str) -> None:
    found = st.file_uploader("An exported run (zip)", type="zip", key=key, help=HELP["import_run"])
    if found is not None:
        _do(lambda: state.set_run(services.import_run(found.getvalue())))


def _tag(run: Run) -> str:
    return compare_words.run_tag(wording.moment(run.created), run.id)


def _several(runs: tuple[Run, ...]) -> None:
    """Runs that are picked, in one table, with what makes them hard to compare above it."""
    with_results = {run.id: run for run in runs if run.state != "queued"}
    tags = {run_id: _tag(run) for run_id, run in with_results.items()}
    picked = st.multiselect(
        "Side by side",
        list(with_results),
        format_func=lambda run_id: f"{tags[run_id]}: {with_results[run_id].title}",
        max_selections=MOST,
        key="side_by_side",
        help=HELP["side_by_side"],
        placeholder="Choose two runs or more",
    )
    names = called([with_results[one].name for one in picked], [tags[one] for one in picked])
    chosen = [(name, with_results[one].report) for name, one in zip(names, picked, strict=True)]
    found = [(title, report) for title, report in chosen if report and report.get("rows")]
    if len(found) < 2:
        return
    for difference in differences(found):
        st.warning(wording.literal(difference), icon=":material/warning:")
    batches = shared_batches(found)
    batch = st.segmented_control("Batch", batches, default=next(iter(batches), None), key="side_batch")
    if not batches:
        st.caption(compare_words.NO_SHARED_BATCH)
    st.dataframe(
        pd.DataFrame(side_by_side(found, batch)).fillna(""),
        hide_index=True,
        key=f"side_{'_'.join(picked)}_{batch}",
        column_config={"Run": st.column_config.TextColumn(pinned=True)},
        alt="Rows of several runs",
    )
    report_download(lambda: page_of_several(found), name="side-by-side", key="report_of_several")
