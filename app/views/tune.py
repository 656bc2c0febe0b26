"""Tune: one ratio a layer, and at once what every tile keeps."""

from __future__ import annotations

import streamlit as st

from app import charts, current, sensitivity_findings
from app.components.job_status import LOOK_SECONDS, job_status, stop_button
from app.components.layer_table import Known, layer_table
from app.components.mask_canvas import Panel, mask_canvas, picture
from app.components.masks_file import masks_uploader
from app.components.report_download import report_download
from app.controls import plan_settings, widgets
from app.html_report import page
from app.services import jobs, models, passports, planning
from app.state import settings, uploads
from app.titles import METHOD_TITLES
from app.words import formats, plan_words
from app.words.help_texts import HELP
from bcbp.allocation.latency import LATENCY
from bcbp.jobs import RunView
from bcbp.plan import PruningPlan
from bcbp.sensitivity import Scan
from bcbp.sensitivity_request import SensitivityRequest


def presets() -> None:
    """The starting point, and the way back to it."""
    if settings.masks():
        masks_uploader()
        return
    plan_settings.preset()  # beside the others it would be cut where it now goes on in a second line
    with st.container(horizontal=True, vertical_alignment="bottom"):
        plan_settings.criterion()
        plan_settings.permutation()
        masks_uploader()
        edits = current.edits()
        if edits.ratios or edits.exclude:
            st.button(
                plan_words.forget_edits(len(edits.ratios), len(edits.exclude)),
                icon=":material/restart_alt:",
                on_click=settings.forget_edits,
            )


def totals(plan: PruningPlan) -> None:
    """What the plan removes, and what that would bring by multiply-adds alone."""
    left = planning.macs_left(settings.scope().model, plan)
    idle = max((layer.wit_before for layer in plan), default=0.0)
    shown = [
        ("Weights removed", formats.percent(plan.sparsity), HELP["ratio"]),
        ("Multiply-adds left", formats.percent(left), None),
        (plan_words.BY_WORK, formats.times(1 / left), HELP["by_work"]),
        ("Idle unbalanced", f"≤ {formats.percent(idle)}", HELP["idle"]),
    ]
    if plan.importance is not None:
        kept = formats.before_after(*plan.importance.shares)
        shown.insert(1, ("Importance kept", kept, HELP["importance"]))
    widgets.figures(*shown)
    if plan.spec.allocation == "explicit" and not plan.spec.ratios:
        st.info(plan_words.NOTHING_SET, icon=":material/edit:")
    for note in plan.notes:
        st.info(note, icon=":material/info:")


def chosen_layer(plan: PruningPlan) -> None:
    """The mask of one layer, and the proof that its tiles carry equal work."""
    scope = settings.scope()
    name = plan_settings.layer_picker(plan)
    layer, info = plan[name], models.model(scope.model).layer(name)
    title = METHOD_TITLES[scope.method]
    panel = Panel(scope.method, title, charts.method_color(scope.method), layer.mask)
    mask_canvas(picture((panel,), info), key="tune_mask", alt=f"Mask of {name}", panel_height=220)
    if layer.importance is not None:
        st.caption(plan_words.importance_kept(*layer.importance.shares), help=HELP["importance"])
    engine, reason = planning.expected_engine(scope.model, layer)
    st.caption(f"○ Expected engine: {engine}, {reason}", help=HELP["engine"])
    layer_losses(name)
    masks = [(scope.method, title, layer.mask)]
    if scope.method == "bcbp" and not plan.spec.masks:  # how they were balanced does not stand in a file
        before = current.plan("column")[name]
        masks.insert(0, ("column", plan_words.BEFORE_BALANCE, before.mask))
    if layer.mask.tile.rows > 1:
        widgets.show_chart(
            charts.kept_per_tile(masks), key="tune_balance", alt=f"Columns kept by each tile of {name}"
        )
        st.caption(plan_words.balance_note(layer.wit_before, layer.mask.wit), help=HELP["balance"])


def forecast(plan: PruningPlan) -> None:
    """What a latency target brings: predicted time and loss, the price of more, each layer's reason."""
    found = plan.forecast
    if found is None:
        return
    widgets.figures(
        ("○ Predicted", formats.milliseconds(found.ms), HELP["budget"]),
        ("Target", formats.milliseconds(found.budget_ms), None),
        ("Dense", formats.milliseconds(found.dense_ms), None),
        (
            f"○ Loss of {found.loss_of}",
            plan_words.total_loss(found.loss, found.bound, found.loss_of),
            HELP["loss"],
        ),
    )
    st.markdown(f":material/sell: {found.price}")
    st.caption(f"{plan_words.FORECAST_NOTE} {found.device}, batch {found.batch}.")
    with st.expander(plan_words.CHOICES, icon=":material/question_answer:"):
        chosen = dict(found.reasons)
        out_of_choice = {name: f"stays dense: {why}" for name, why in plan.kept_dense if name not in chosen}
        st.markdown("  \n".join(f"`{name}` {reason}" for name, reason in (chosen | out_of_choice).items()))


def layers(plan: PruningPlan) -> None:
    """The table, with what was measured of each layer."""
    scope = settings.scope()
    edits = current.edits()
    losses, ratios = sensitivity_findings.losses(known_scan())
    known = Known(passports.break_evens(scope.model, scope.tile), losses, ratios)
    layer_table(models.model(scope.model), plan, edits, known)
    st.caption(plan_words.MASKS_TABLE_NOTE if settings.masks() else plan_words.TABLE_NOTE)


def known_scan() -> Scan | None:
    """What is measured of the scope's model by the method in focus."""
    scope, criterion = settings.scope(), current.edits().criterion
    return planning.scan(scope.model, scope.method, criterion, scope.tile, uploads.data())


def layer_losses(name: str) -> None:
    """What the chosen layer loses, with intervals."""
    scan = known_scan()
    rows = scan.of(name).values() if scan else ()
    words = [
        plan_words.drop(row.ratio, row.drop, row.interval)
        for row in rows
        if row.drop is not None and row.interval is not None
    ]
    if words:
        st.caption("  \n".join([plan_words.ALONE, *words]), help=HELP["sensitivity"])


def scanning() -> None:
    """The part that repeats while a scan is active; the whole page runs once more for every layer done."""
    run = jobs.newest(SensitivityRequest)
    if run is None:
        return
    if run.active:
        stop_button(run, key="stop_scanning")
    job_status(run)
    if (_seen(run), run.active) != (seen, was_active):
        st.rerun()


def _seen(run: RunView[SensitivityRequest] | None) -> int:
    """Rows that a scan has reported."""
    return len((run.report or {}).get("rows", ())) if run else 0


def sensitivity() -> None:
    """Measure how sensitive each layer is, or see how far that is."""
    scope = settings.scope()
    st.subheader(plan_words.SENSITIVITY, help=HELP["sensitivity"])
    if was_active:
        st.fragment(scanning, run_every=LOOK_SECONDS)()
        return
    if not (current.has_images() and models.model(scope.model).trained):
        st.caption(plan_words.NO_SCAN)
        return
    label = plan_words.scan_label(METHOD_TITLES[scope.method], scope.tile)
    if st.button(label, icon=":material/troubleshoot:", key="scan"):
        wanted = SensitivityRequest(
            model=scope.model,
            pattern=scope.method,
            criterion=current.edits().criterion,
            tile=scope.tile,
            data=uploads.data(),
        )
        jobs.submit(wanted)
        st.rerun()
    st.caption(plan_words.SCAN_NOTE)
    if last is not None:
        job_status(last)
    criterion = current.edits().criterion
    found = planning.scan(scope.model, scope.method, criterion, scope.tile, uploads.data())
    if found is not None and found.rows:
        report_download(lambda: page(found.to_json()), name=f"sensitivity-{found.key.id}", key="scan_report")


presets()
last = jobs.newest(SensitivityRequest)
seen, was_active = _seen(last), last is not None and last.active
timed = current.edits().allocation == LATENCY.name and not settings.masks()
if not timed or plan_settings.latency_target():
    planned = current.plan()
    forecast(planned)
    totals(planned)
    left, right = st.columns([3, 2], gap="medium")
    with left:
        layers(planned)
        sensitivity()
    with right:
        chosen_layer(planned)
