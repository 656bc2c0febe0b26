"""Files to take away: chosen, made by a background job, then offered for download."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import streamlit as st

from app.components.job_status import LOOK_SECONDS, job_status, stop_button
from app.services import jobs, results
from app.words import run_words
from app.words.help_texts import HELP
from bcbp.errors import NotYours
from bcbp.export import EXPORTS
from bcbp.export_request import ExportRequest
from bcbp.jobs import RunView


def exports(wanted: ExportRequest, *, key: str) -> None:
    """What can be taken away of the network of a request, in whichever forms, with the job that makes it."""
    with st.expander("Export this network", icon=":material/inventory_2:"):
        forms = st.multiselect(
            "Files",
            list(EXPORTS),
            default=list(wanted.forms),
            format_func=lambda name: EXPORTS[name].title,
            key=f"forms_{key}",
            help=HELP["export"],
        )
        for form in forms:
            st.caption(f"**{EXPORTS[form].title}**: {EXPORTS[form].description}")
        if not forms:
            return
        request = replace(wanted, forms=tuple(forms))
        active = _newest(request)
        st.fragment(_job, run_every=LOOK_SECONDS if active and active.active else None)(request, key)


def _newest(request: ExportRequest) -> RunView[ExportRequest] | None:
    """The last job that was asked for just this, whichever session asked."""
    return next((run for run in jobs.exports() if run.request == request), None)


def _job(request: ExportRequest, key: str) -> None:
    run = _newest(request)
    if run is not None and run.active:
        job_status(run)
        stop_button(run, key=f"stop_{key}")
        return
    if st.button("Prepare files", icon=":material/package_2:", key=f"export_{key}"):
        try:
            jobs.submit(request)
        except NotYours as error:
            st.error(str(error), icon=":material/error:")
            return
        st.rerun()
    if run is None:
        return
    if run.state != "done" or run.report is None:
        job_status(run)
        return
    _files(run, key)


def _files(run: RunView[ExportRequest], key: str) -> None:
    """One archive of everything, what each form weighs, and what could not be had."""
    assert run.report is not None
    path = results.export_archive(run.request)
    if not path.exists():
        st.warning(run_words.EXPORT_GONE, icon=":material/delete:")
        return
    st.download_button(
        f"Download ({path.stat().st_size / 1e6:.1f} MB)",
        path.read_bytes,
        file_name=f"bcbp-export-{run.request.id}.zip",
        mime="application/zip",
        icon=":material/download:",
        key=f"download_{key}",
        on_click="ignore",
    )
    for form, reason in run.report["missing"].items():
        st.warning(f"{EXPORTS[form].title}: {reason}", icon=":material/block:")
    lines = [
        {
            "Form": size["form"],
            "Tensors, MB": f"{size['bytes'] / 1e6:.2f}",
            "Compressed, MB": f"{size['compressed'] / 1e6:.2f}",
        }
        for size in run.report["sizes"]
    ]
    st.dataframe(pd.DataFrame(lines), hide_index=True, alt="Bytes of the network in each form")
    st.caption(run_words.EXPORT_SIZES)
