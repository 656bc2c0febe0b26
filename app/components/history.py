"""Every run on this machine: opened, named, taken away, taken in, deleted, and set side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd
import streamlit as st

from app.components.job_status import job_status
from app.components.report_download import report_download
from app.html_report import page_of_several
from app.services import jobs, owners, results, stores
from app.side_by_side import Run as Titled
from app.side_by_side import called, differences, setting_lines, shared_batches, side_by_side
from app.state import keys, messages, selection
from app.titles import METHOD_TITLES
from app.words import compare_words, formats, report_words, run_words
from app.words.help_texts import HELP
from bcbp.device_request import DeviceRequest
from bcbp.errors import BcbpError
from bcbp.jobs import RunView
from bcbp.jobs.kinds import KINDS, kind_of
from bcbp.jobs.store import UNFINISHED
from bcbp.request import CompareRequest
from bcbp.sensitivity_request import SensitivityRequest

Run = RunView[CompareRequest]
# Where a run is seen; an export stands here, in this table.
PAGES: dict[type, str] = {CompareRequest: "run", DeviceRequest: "device", SensitivityRequest: "tune"}


def comparisons(runs: tuple[RunView[Any], ...]) -> tuple[Run, ...]:
    """Those of `runs` that compare."""
    return tuple(run for run in runs if isinstance(run.request, CompareRequest))


def history(every: tuple[RunView[Any], ...], shown: Run | None) -> None:
    """A table in which a click opens a comparison or picks another run; what can be done with it; several."""
    runs = comparisons(every)
    st.subheader(compare_words.HISTORY)
    if done := messages.said():
        st.toast(formats.literal(done), icon=":material/check:")
    picked = _table(every, shown) if every else None
    if picked is not None and picked is not shown:
        job_status(picked)
    if picked is not None:
        st.markdown(compare_words.picked(formats.literal(picked.title), _tag(picked)))
    with st.container(horizontal=True):
        if picked is not None:
            _actions(picked)
        with st.popover("Import a run", icon=":material/upload:"):
            _import(key=f"import_run_{len(runs)}")
    if picked is not None and not picked.active:
        st.caption(_again(picked)[1])
    _several(runs)


def _table(runs: tuple[RunView[Any], ...], shown: Run | None) -> RunView[Any] | None:
    """The run that is picked: at first the comparison that is `shown`, whose row is ticked."""
    open_row = [index for index, run in enumerate(runs) if shown is not None and run.id == shown.id]
    event = st.dataframe(
        pd.DataFrame([_line(run) for run in runs]).fillna(""),
        hide_index=True,
        key=f"history_{len(runs)}_{shown.id if shown else ''}",
        on_select="rerun",
        selection_mode="single-row",
        selection_default={"selection": {"rows": open_row}},
        column_config={"Id": st.column_config.TextColumn(help=HELP["run_id"])},
        alt="Runs on this machine, newest first",
    )
    if not event.selection.rows:
        return shown
    picked = runs[event.selection.rows[0]]
    if shown is not None and picked.id == shown.id:
        return shown
    if isinstance(picked.request, CompareRequest):
        selection.set_run(picked.id)
        st.rerun()
    return picked


def _line(run: RunView[Any]) -> dict[str, str]:
    """What tells runs apart before what most of them have in common."""
    is_comparison = isinstance(run.request, CompareRequest)
    methods = run.request.methods if is_comparison else ()
    return {
        "Started": formats.moment(run.created),
        "Id": compare_words.short_id(run.id),
        "Name": run.name,
        "Run": run.request.title,
        "State": compare_words.IMPORTED if run.imported else run_words.run_state(run.state),
        **(results.asked(run) if is_comparison else {}),
        "Methods": ", ".join(METHOD_TITLES.get(name, name) for name in methods),
        "Kind": KINDS[kind_of(run.request)].title,
    }


def _actions(run: RunView[Any]) -> None:
    """Name, run again, take away, delete: of a run that has ended. Names and ends belong to its owner."""
    mine = owners.is_mine(owners.RUNS, run.id)
    if mine:
        _rename(run)
    if run.active:
        return
    if owners.may_use(run.request):
        _offer_again(run)
    if isinstance(run.request, CompareRequest):
        _export(run)
    if mine:
        _offer_to_delete(run)


def _again(run: RunView[Any]) -> tuple[str, str]:
    """What asking for the run once more is called, and what it does."""
    kept = KINDS[kind_of(run.request)].kept(run.request)
    return compare_words.again(kept, unfinished=run.state in UNFINISHED)


def _offer_again(run: RunView[Any]) -> None:
    """Resume what can be, else the same request once more; on the page where it is seen."""
    if not st.button(_again(run)[0], icon=":material/replay:", key=f"again_{run.id}", help=HELP["run_again"]):
        return
    started = jobs.submit(run.request)
    if isinstance(run.request, CompareRequest):
        selection.set_run(started)
    if page := PAGES.get(type(run.request)):
        st.switch_page(f"views/{page}.py", query_params={})
    st.rerun()


def _export(run: Run) -> None:
    st.download_button(
        "Export run",
        lambda: jobs.pack(run.id),
        file_name=f"bcbp-run-{run.id}.zip",
        mime="application/zip",
        icon=":material/archive:",
        key=f"export_run_{run.id}",
        help=HELP["export_run"],
        on_click="ignore",
    )


def _rename(run: RunView[Any]) -> None:
    with st.popover("Name", icon=":material/edit:"):
        name = st.text_input("Name of this run", value=run.name, max_chars=80, key=f"name_{run.id}")
        if st.button("Save", key=f"save_{run.id}"):
            _do(lambda: _name(run, name))


def _name(run: RunView[Any], name: str) -> None:
    jobs.rename(run.id, name)
    messages.say_next(compare_words.renamed(stores.runs().read(run.id).name, run.id))


def _offer_to_delete(run: RunView[Any]) -> None:
    with st.popover("Delete", icon=":material/delete:"):
        stays = KINDS[kind_of(run.request)].stays(run.request)
        st.markdown(compare_words.delete(formats.literal(run.title), _tag(run), stays))
        if st.button("Delete for good", type="primary", key=f"delete_{run.id}"):
            _do(lambda: _delete(run))


def _do(act: Callable[[], None]) -> None:
    """Carry out and show the page anew; what stands in the way is said here."""
    try:
        act()
    except BcbpError as error:
        st.error(formats.literal(str(error)), icon=":material/error:")
    else:
        st.rerun()


def _delete(run: RunView[Any]) -> None:
    jobs.delete(run.id)
    messages.say_next(compare_words.deleted(run.title, run.id))
    if run.id == selection.run_id():
        selection.set_run(None)


def _import(*, key: str) -> None:
    found = st.file_uploader("An exported run (zip)", type="zip", key=key, help=HELP["import_run"])
    if found is not None:
        _do(lambda: selection.set_run(jobs.take_in(found.getvalue())))


def _tag(run: RunView[Any]) -> str:
    return compare_words.run_tag(formats.moment(run.created), run.id)


def _several(runs: tuple[Run, ...]) -> None:
    """Runs that are picked, in one table, with what makes them hard to compare above it."""
    with_results = {run.id: run for run in runs if run.state != "queued"}
    selection.choose_beside(with_results)
    if len(with_results) < 2:
        return
    tags = {run_id: _tag(run) for run_id, run in with_results.items()}
    picked = st.multiselect(
        "Side by side",
        list(with_results),
        format_func=lambda run_id: f"{tags[run_id]}: {with_results[run_id].title}",
        max_selections=selection.MOST_BESIDE,
        key=keys.SIDE_BY_SIDE,
        persist_state="session",
        help=HELP["side_by_side"],
        placeholder="Choose two runs or more",
    )
    names = called([with_results[one].name for one in picked], [tags[one] for one in picked])
    chosen = [(name, with_results[one].report) for name, one in zip(names, picked, strict=True)]
    found = [(title, report) for title, report in chosen if report and report.get("rows")]
    if len(found) < 2:
        return
    _differences(found)
    batches = shared_batches(found)
    batch = None
    if batches:
        batch = st.segmented_control("Batch", batches, default=batches[0], key="side_batch")
    else:
        st.caption(compare_words.NO_SHARED_BATCH)
    st.dataframe(
        pd.DataFrame(side_by_side(found, batch)).fillna(""),
        hide_index=True,
        key=f"side_{'_'.join(picked)}_{batch}",
        column_config={"Run": st.column_config.TextColumn(pinned=True)},
        alt="Rows of several runs",
    )
    report_download(lambda: page_of_several(found), name="side-by-side", key="report_of_several")


def _differences(runs: Sequence[Titled]) -> None:
    """What makes the runs hard to compare, then every setting and condition that is not the same."""
    for difference in differences(runs):
        st.warning(formats.literal(difference), icon=":material/warning:")
    if lines := setting_lines(runs):
        st.markdown(f"**{report_words.DIFFERENCES}**")
        st.dataframe(pd.DataFrame(lines), hide_index=True, alt=report_words.DIFFERENCES)
    else:
        st.caption(report_words.NO_DIFFERENCES)
