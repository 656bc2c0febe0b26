"""Tune: one ratio a layer, and at once what every tile keeps."""

from __future__ import annotations

import streamlit as st

from app import charts, controls, services, state, wording
from app.components.layer_table import layer_table
from app.components.mask_canvas import Panel, mask_canvas, picture
from app.help_texts import HELP
from bcbp.plan import PruningPlan


def presets() -> None:
    """The starting point, and the way back to it."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        controls.preset()
        controls.criterion()
        edits = controls.current_edits()
        if edits.ratios or edits.exclude:
            st.button(
                wording.forget_edits(len(edits.ratios), len(edits.exclude)),
                icon=":material/restart_alt:",
                on_click=state.forget_edits,
            )


def totals(plan: PruningPlan) -> None:
    """What the plan removes, and the most it could gain."""
    left = services.macs_left(state.scope().model, plan)
    idle = max((layer.wit_before for layer in plan), default=0.0)
    controls.figures(
        ("Weights removed", wording.percent(plan.sparsity), HELP["ratio"]),
        ("Multiply-adds left", wording.percent(left), None),
        ("○ Speed, at most", wording.times(1 / left), HELP["bound"]),
        ("Idle before balancing", f"≤ {wording.percent(idle)}", HELP["idle"]),
    )
    if plan.spec.allocation == "explicit" and not plan.spec.ratios:
        st.info(wording.NOTHING_SET, icon=":material/edit:")
    for note in plan.notes:
        st.info(note, icon=":material/info:")


def chosen_layer(plan: PruningPlan) -> None:
    """The mask of one layer, and the proof that its tiles carry equal work."""
    scope = state.scope()
    name = controls.layer_picker(plan)
    layer, info = plan[name], services.model(scope.model).layer(name)
    title = services.METHOD_TITLES[scope.method]
    panel = Panel(scope.method, title, charts.method_color(scope.method), layer.mask)
    mask_canvas(picture((panel,), info), key="tune_mask", alt=f"Mask of {name}", panel_height=220)
    engine, reason = services.expected_engine(scope.model, layer)
    st.caption(f"○ Expected engine: {engine}, {reason}", help=HELP["engine"])
    masks = [(scope.method, title, layer.mask)]
    if scope.method == "bcbp":
        before = controls.current_plan("column")[name]
        masks.insert(0, ("column", wording.BEFORE_BALANCE, before.mask))
    if layer.mask.tile.rows > 1:
        controls.show_chart(
            charts.kept_per_tile(masks), key="tune_balance", alt=f"Columns kept by each tile of {name}"
        )
        st.caption(wording.balance_note(layer.wit_before, layer.mask.wit), help=HELP["balance"])


presets()
planned = controls.current_plan()
totals(planned)
left, right = st.columns([3, 2], gap="medium")
with left:
    scope = state.scope()
    break_evens = services.break_evens(scope.model, scope.tile)
    layer_table(services.model(scope.model), planned, controls.current_edits(), break_evens)
    st.caption(wording.TABLE_NOTE)
with right:
    chosen_layer(planned)
