"""Compare: the verdict first, then the evidence, then every run on this machine."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import pandas as pd
import streamlit as st

from app import findings, recorded, verdict
from app.asked import asked_of, one_line
from app.components.changed import changed
from app.components.curves import curves
from app.components.equal_accuracy import equal_accuracy_section
from app.components.exports import exports
from app.components.history import comparisons, history
from app.components.ladder import ladder
from app.components.report_download import report_download
from app.components.results_table import results_table
from app.controls import widgets
from app.controls.widgets import show_chart
from app.finding_figures import latency_figure, trade_off_figure
from app.findings import Finding
from app.html_report import page
from app.services import jobs, owners, results
from app.state import keys, selection, settings
from app.titles import METHOD_TITLES
from app.words import compare_words, formats, frame_words, run_words
from app.words.help_texts import HELP
from bcbp.allocation import ALLOCATIONS
from bcbp.export_request import ExportRequest
from bcbp.jobs import RunView
from bcbp.request import CompareRequest
from bcbp.spec import DENSE

Option = TypeVar("Option")

MOODS = {
    verdict.BETTER: (st.success, ":material/check_circle:"),
    verdict.COSTLY: (st.warning, ":material/balance:"),
    verdict.WORSE: (st.error, ":material/cancel:"),
    verdict.LOST: (st.error, ":material/cancel:"),
    verdict.UNCLEAR: (st.warning, ":material/help:"),
    findings.NO_CLAIM: (st.info, ":material/block:"),
    verdict.NO_VERDICT: (st.info, ":material/block:"),
    "waiting": (st.info, ":material/hourglass_empty:"),
}


def chosen_run(runs: tuple[RunView[CompareRequest], ...]) -> RunView[CompareRequest] | None:
    """The run of the link, else the newest under way or with an answer, else the newest with results."""
    by_id = {run.id: run for run in runs}
    asked = selection.run_id()
    if asked is not None and asked not in by_id:
        st.warning(run_words.NO_RUN_SELECTED, icon=":material/link_off:")
        selection.set_run(None)
    if asked in by_id:
        return by_id[asked]
    with_rows = (run for run in runs if run.report and run.report.get("rows"))
    newest = next(with_rows, None)
    for run in (newest, *with_rows) if newest else ():
        if run.active or findings.answers(run.report or {}):
            return run
    return newest


@dataclass(frozen=True)
class Focus:
    """What the verdict is about; `ratio` is None where there is one, `batch` before any time is there."""

    ratio: float | None
    method: str
    batch: str | None


def focus(run: RunView[CompareRequest]) -> Focus:
    """Ratio, method and batch size, each chosen where there are several."""
    report, scope = run.report or {}, settings.scope()
    measured, ratios = findings.batches(report), findings.ratios(report)
    usual = scope.ratio if scope.ratio in ratios else next(iter(ratios), None)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        ratio = None
        if len(ratios) > 1:
            ratio = _choice(
                "Ratio", ratios, usual, f"ratio_{run.id}", keys.SHOWN_RATIO, formats.ratio_percent
            )
        rows = findings.at_ratio(findings.findings(report, batch=None, titles={}), ratio)
        methods = [row.method for row in rows if row.method != DENSE]
        first = scope.method if scope.method in methods else next(iter(methods), None)
        widget = f"verdict_{run.id}_{ratio}_{first}"
        method = _choice("Verdict for", methods, first, widget, keys.SHOWN_METHOD, _method_title)
        smallest = next(iter(measured), None)
        batch = _choice("Batch", measured, smallest, f"batch_{run.id}", keys.SHOWN_BATCH, str)
    selection.set_shown(
        shown_ratio=None if ratio == usual else ratio,
        shown_method=None if method == first else method,
        shown_batch=None if batch == smallest else batch,
    )
    return Focus(ratio, method or "", batch)


def _choice(
    label: str,
    options: Sequence[Option],
    usual: Option | None,
    widget: str,
    key: str,
    form: Callable[[Option], str],
) -> Option | None:
    """One of `options`: at first what the link asks for under `key`, else the `usual` one; None of none."""
    if not options:
        return None
    return st.segmented_control(
        label,
        options,
        default=selection.first_shown(widget, key, options, usual),
        format_func=form,
        key=widget,
        required=True,
    )


def _method_title(name: str) -> str:
    return METHOD_TITLES.get(name, name)


def say_verdict(rows: tuple[Finding, ...], on: Focus, *, timed: bool = True, ended: bool = True) -> None:
    """The answer in one sentence, and what the figures say about why; `timed` if times were asked for."""
    row = next((row for row in rows if row.method == on.method), None)
    if row is None or timed:
        answer = verdict.verdict(rows, method=on.method, batch=on.batch, ended=ended)
    else:
        answer = verdict.untimed_verdict(rows, row, ended=ended)
    show, icon = MOODS[answer.mood]
    show(f"**{answer.sentence}** {answer.cause}", icon=icon)


def caption(run: RunView[CompareRequest]) -> None:
    """Which run this is, where and when; and whether the scope bar has moved on since."""
    environment = (run.report or {}).get("environment") or {}
    asked, scope = run.request, settings.scope()
    words = (
        formats.literal(run.name),
        formats.literal(asked.title),
        formats.moment(run.created),
        run_words.run_state(run.state),
        run_words.timed_on(asked.device, asked.precision),
    )
    st.caption(run_words.run_caption(tuple(filter(None, words)), environment))
    st.caption(one_line(asked_of(run)))
    same = (asked.model, asked.spec.tile) == (scope.model, scope.tile)
    by_ratio = ALLOCATIONS[asked.spec.allocation].follows_ratio
    if not same or (by_ratio and scope.ratio not in asked.asked_ratios):
        st.caption(f":material/info: {run_words.STALE}")
    if asked.locked:
        st.caption(asked.locked)


def show_trade_off(rows: tuple[Finding, ...], on: Focus) -> None:
    """Accuracy over latency of all rows, or latency alone where accuracy means nothing."""
    timed = [row for row in rows if row.latency]
    if not timed:
        return
    figure = trade_off_figure(timed, focus=on.method, several=on.ratio is not None)
    if figure is not None:
        show_chart(figure, key="trade_off", alt=compare_words.TRADE_OFF_ALT)
        st.caption(compare_words.TRADE_OFF_NOTE)
        return
    show_chart(latency_figure(timed), key="latency", alt="Latency of every method")
    st.caption(compare_words.NO_ACCURACY)


def remarks(rows: tuple[Finding, ...]) -> None:
    """Why figures are missing, and other remarks, each said once."""
    for remark in findings.remarks(rows):
        st.caption(remark)


def layers(row: Finding) -> None:
    """Which engine ran each layer, and why."""
    if not row.layers:
        return
    with st.expander(f"Layers of {row.title}", icon=":material/layers:"):
        st.dataframe(pd.DataFrame(findings.layer_lines(row)), hide_index=True, alt="Layers of this method")


def downloads(run: RunView[CompareRequest], row: Finding) -> None:
    """The report to read and to pass on, and report and plan as files for other programs."""
    with st.container(horizontal=True):
        report_download(lambda: page(run.report), name=run.id, key=f"report_{run.id}")
        st.download_button(
            "Report (JSON)",
            json.dumps(run.report, indent=1),
            file_name=f"bcbp-report-{run.id}.json",
            mime="application/json",
            icon=":material/download:",
            on_click="ignore",
        )
        if not owners.may_use(run.request):
            return
        st.download_button(
            f"Plan of {row.title} (JSON)",
            lambda: json.dumps(results.plan(run, row.key).to_json()),
            file_name=f"bcbp-plan-{run.id}-{_file_name_of(row, run)}.json",
            mime="application/json",
            icon=":material/download:",
            on_click="ignore",
        )


def _file_name_of(row: Finding, run: RunView[CompareRequest]) -> str:
    """The method, and its ratio where there are several: a single one may be an outcome."""
    method = row.method.replace(":", "-")
    return f"{method}-{row.ratio:g}" if len(findings.ratios(run.report or {})) > 1 else method


def take_away(run: RunView[CompareRequest], row: Finding) -> None:
    """The network of the row itself, in forms that others can use."""
    if not owners.may_use(run.request):
        st.caption(frame_words.NOT_YOUR_FILES)
        return
    asked = run.request
    spec = results.spec(run, row.key)
    wanted = ExportRequest(asked.model, spec, asked.tuning, data=asked.data, adjustment=asked.adjustment)
    exports(wanted, key=f"{run.id}_{row.key}")


def evidence(run: RunView[CompareRequest], rows: tuple[Finding, ...], on: Focus) -> None:
    """Everything behind the verdict: all rows, then those at one ratio, then the row in focus."""
    show_trade_off(rows, on)
    equal_accuracy_section(run.report or {}, batch=on.batch, key=f"equal_{run.id}")
    beside = findings.at_ratio(rows, on.ratio)
    st.subheader(compare_words.equal_ratio(on.ratio))
    results_table(beside, key=f"results_{run.id}_{on.batch}_{on.ratio}")
    if distance := findings.limit_beside(run.report or {}, beside, on.method):
        st.caption(distance, help=HELP["limit"])
    remarks(beside)
    ladder(beside, key=f"ladder_{run.id}_{on.ratio}")
    curves(beside, key=f"curves_{run.id}_{on.ratio}")
    for row in beside:
        if row.method == on.method:
            changed(run, row, key=f"changed_{run.id}_{row.key}")
            layers(row)
            downloads(run, row)
            take_away(run, row)


def recorded_example() -> None:
    """The comparison that ships: what a run of one's own will show, and where this one was measured."""
    report = recorded.comparison()
    on = Focus(0.5, "bcbp", next(iter(findings.batches(report)), None))
    rows = findings.findings(report, batch=on.batch, titles=METHOD_TITLES)
    st.subheader(compare_words.EXAMPLE)
    st.caption(run_words.run_caption((compare_words.RECORDED,), report["environment"]))
    beside = findings.at_ratio(rows, on.ratio)
    say_verdict(beside, on)
    show_trade_off(rows, on)
    results_table(beside, key="results_recorded")


every_run = jobs.listed()
run = chosen_run(comparisons(every_run))
if run is None:
    selection.set_shown()
    st.info(run_words.NO_RUN, icon=":material/hourglass_empty:")
    if st.button(run_words.GO_RUN, type="primary", icon=":material/play_arrow:", key="go_run"):
        widgets.go_to("run")
    recorded_example()
else:
    answer = st.container()
    on = focus(run)
    rows = findings.findings(run.report or {}, batch=on.batch, titles=METHOD_TITLES)
    with answer:
        at_ratio = findings.at_ratio(rows, on.ratio)
        say_verdict(at_ratio, on, timed=bool(run.request.batches), ended=not run.active)
        if predicted := findings.predicted_beside(at_ratio, on.method):
            st.caption(predicted, help=HELP["predicted"])
    caption(run)
    if rows:
        evidence(run, rows, on)
history(every_run, run)
