"""Compare: the verdict first, then the evidence, then every run on this machine."""

from __future__ import annotations

import json

import pandas as pd
import streamlit as st

from app import charts, controls, findings, services, state, wording
from app.components.curves import curves
from app.components.ladder import ladder
from app.components.results_table import results_table
from app.findings import Finding
from app.help_texts import HELP
from bcbp.jobs import RunView
from bcbp.request import CompareRequest
from bcbp.spec import DENSE

MOODS = {
    findings.BETTER: (st.success, ":material/check_circle:"),
    findings.COSTLY: (st.warning, ":material/balance:"),
    findings.WORSE: (st.error, ":material/cancel:"),
    findings.UNCLEAR: (st.warning, ":material/help:"),
    findings.NO_CLAIM: (st.info, ":material/block:"),
    "waiting": (st.info, ":material/hourglass_empty:"),
}


def chosen_run(runs: tuple[RunView[CompareRequest], ...]) -> RunView[CompareRequest] | None:
    """The run of the link, else the newest with results."""
    by_id = {run.id: run for run in runs}
    asked = state.run_id()
    if asked is not None and asked not in by_id:
        st.warning(wording.NO_RUN_SELECTED, icon=":material/link_off:")
        state.set_run(None)
    if asked in by_id:
        return by_id[asked]
    return next((run for run in runs if run.report and run.report.get("rows")), None)


def focus(run: RunView[CompareRequest]) -> tuple[str | None, str]:
    """Batch size and method that the verdict is about."""
    measured = findings.batches(run.report or {})
    methods = [row["method"] for row in (run.report or {}).get("rows", ()) if row["method"] != DENSE]
    default = state.scope().method if state.scope().method in methods else next(iter(methods), None)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        method = st.segmented_control(
            "Verdict for",
            methods,
            default=default,
            format_func=lambda name: services.METHOD_TITLES.get(name, name),
            key=f"verdict_{run.id}_{default}",
            required=True,
        )
        batch = st.segmented_control(
            "Batch", measured, default=next(iter(measured), None), key=f"batch_{run.id}", required=True
        )
    return batch, method or ""


def verdict(rows: tuple[Finding, ...], *, method: str, batch: str | None) -> None:
    """The answer in one sentence, and what the figures say about why."""
    answer = findings.verdict(rows, method=method, batch=batch) if batch else findings.WAITING
    show, icon = MOODS[answer.mood]
    show(f"**{answer.sentence}** {answer.cause}", icon=icon)


def caption(run: RunView[CompareRequest]) -> None:
    """Which run this is, where and when; and whether the scope bar has moved on since."""
    environment = (run.report or {}).get("environment") or {}
    asked, scope = run.request, state.scope()
    words = (
        run.title,
        wording.moment(run.created),
        wording.run_state(run.state),
        wording.timed_on(asked.device, asked.precision),
    )
    st.caption(wording.run_caption(words, environment))
    if (asked.model, asked.spec.tile, asked.spec.ratio) != (scope.model, scope.tile, scope.ratio):
        st.caption(f":material/info: {wording.STALE}")


def trade_off(rows: tuple[Finding, ...]) -> None:
    """Accuracy over latency, or latency alone where accuracy means nothing."""
    timed = [row for row in rows if row.latency]
    if not timed:
        return
    points = _points(timed)
    if points:
        controls.show_chart(charts.trade_off(points), key="trade_off", alt=wording.TRADE_OFF_ALT)
        st.caption(wording.TRADE_OFF_NOTE)
        return
    bars = [
        (row.method, row.title, row.latency.median, row.latency.quartiles) for row in timed if row.latency
    ]
    controls.show_chart(charts.latency_bars(bars), key="latency", alt="Latency of every method")
    st.caption(wording.NO_ACCURACY)


def _points(rows: list[Finding]) -> list[charts.Point]:
    full = [row for row in rows if row.latency and row.accuracy]
    pairs = [(row.latency.median, row.accuracy.share) for row in full if row.latency and row.accuracy]
    front = set(charts.pareto_front(pairs))
    return [
        charts.Point(
            row.method,
            row.title,
            row.latency.median,
            row.latency.quartiles,
            row.accuracy.share,
            row.accuracy.interval,
            index in front,
        )
        for index, row in enumerate(full)
        if row.latency and row.accuracy
    ]


def remarks(rows: tuple[Finding, ...]) -> None:
    """Why figures are missing, and other remarks, each said once."""
    by_remark: dict[str, list[str]] = {}
    for row in rows:
        for remark in row.remarks:
            by_remark.setdefault(remark, []).append(row.title)
    for remark, titles in by_remark.items():
        st.caption(f"{', '.join(titles)}: {remark}")


def layers(rows: tuple[Finding, ...], method: str) -> None:
    """Which engine ran each layer, and why."""
    row = next((row for row in rows if row.method == method), None)
    if row is None or not row.layers:
        return
    with st.expander(f"Layers of {row.title}", icon=":material/layers:"):
        st.dataframe(pd.DataFrame(findings.layer_lines(row)), hide_index=True, alt="Layers of this method")


def downloads(run: RunView[CompareRequest], method: str) -> None:
    """The report and the plan, as files for other programs."""
    with st.container(horizontal=True):
        st.download_button(
            "Report (JSON)",
            json.dumps(run.report, indent=1),
            file_name=f"bcbp-report-{run.id}.json",
            mime="application/json",
            icon=":material/download:",
            on_click="ignore",
        )
        st.download_button(
            f"Plan of {services.METHOD_TITLES.get(method, method)} (JSON)",
            lambda: json.dumps(services.stored_plan(run, method).to_json()),
            file_name=f"bcbp-plan-{run.id}-{method.replace(':', '-')}.json",
            mime="application/json",
            icon=":material/download:",
            on_click="ignore",
        )


def history(runs: tuple[RunView[CompareRequest], ...], shown: RunView[CompareRequest] | None) -> None:
    """Every run on this machine; a click on a line opens it."""
    st.subheader("Runs on this machine")
    lines = [
        {
            "Started": wording.moment(run.created),
            "Run": run.title,
            "State": wording.run_state(run.state),
            "Methods": ", ".join(services.METHOD_TITLES.get(name, name) for name in run.request.methods),
        }
        for run in runs
    ]
    event = st.dataframe(
        pd.DataFrame(lines),
        hide_index=True,
        key=f"history_{len(runs)}_{shown.id if shown else ''}",
        on_select="rerun",
        selection_mode="single-row",
        alt="Runs on this machine, newest first",
    )
    if event.selection.rows and (picked := runs[event.selection.rows[0]].id) != (shown and shown.id):
        state.set_run(picked)
        st.rerun()


every_run = services.runs()
run = chosen_run(every_run)
if run is None:
    st.info(wording.NO_RUN, icon=":material/hourglass_empty:")
    if st.button(wording.GO_RUN, type="primary", icon=":material/play_arrow:", key="go_run"):
        controls.go_to("run")
else:
    answer = st.container()
    batch, method = focus(run)
    rows = findings.findings(run.report or {}, batch=batch, titles=services.METHOD_TITLES)
    with answer:
        verdict(rows, method=method, batch=batch)
        if beside := findings.predicted_beside(rows, method):
            st.caption(beside, help=HELP["predicted"])
    caption(run)
    trade_off(rows)
    if rows:
        results_table(rows, key=f"results_{run.id}_{batch}")
        if distance := findings.limit_beside(run.report or {}, rows, method):
            st.caption(distance, help=HELP["limit"])
        remarks(rows)
        ladder(rows, key=f"ladder_{run.id}")
        curves(rows, key=f"curves_{run.id}")
        layers(rows, method)
        downloads(run, method)
if every_run:
    history(every_run, run)
