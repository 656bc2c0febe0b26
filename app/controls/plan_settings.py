"""How the ratio is spread and what is kept: the settings of a plan, and the layer in focus."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from app import current
from app.controls import widgets
from app.services import passports, planning
from app.state import keys, selection, settings, uploads
from app.state.edits import Edits
from app.titles import CRITERION_TITLES, PRESET_TITLES
from app.words import formats, plan_words
from app.words.help_texts import HELP
from bcbp.allocation.explicit import EXPLICIT
from bcbp.errors import BcbpError
from bcbp.plan import PruningPlan


def preset() -> None:
    """How the ratio is spread over the layers."""
    edits = current.edits()
    chosen = st.segmented_control(
        "Preset",
        tuple(PRESET_TITLES),
        default=edits.allocation,
        format_func=PRESET_TITLES.__getitem__,
        key=f"preset_{settings.scope().model}",
        help=HELP["allocation"],
        required=True,
    )
    if chosen != edits.allocation:
        settings.set_edits(_explicit(edits) if chosen == EXPLICIT.name else replace(edits, allocation=chosen))
        st.rerun()


def _explicit(edits: Edits) -> Edits:
    """The explicit preset, begun from the ratios that layers have now; from none where there is no plan."""
    try:
        plan = current.plan()
    except BcbpError:
        return edits.explicit({})
    return edits.explicit({layer.name: layer.target for layer in plan})


def criterion() -> None:
    """What says how much a weight matters."""
    edits = current.edits()
    chosen = st.selectbox(
        "Criterion",
        tuple(CRITERION_TITLES),
        index=tuple(CRITERION_TITLES).index(edits.criterion),
        format_func=CRITERION_TITLES.__getitem__,
        key=f"criterion_{settings.scope().model}",
        help=HELP["criterion"],
    )
    if chosen != edits.criterion:
        settings.set_edits(replace(edits, criterion=chosen))
        st.rerun()


def permutation() -> None:
    """Whether filters that want the same columns share a tile."""
    edits = current.edits()
    chosen = st.toggle(
        "Permute filters",
        edits.permute,
        key=f"permute_{settings.scope().model}",
        help=HELP["permute"],
    )
    if chosen != edits.permute:
        settings.set_edits(replace(edits, permute=chosen))
        st.rerun()


def latency_target() -> bool:
    """The budget of the preset that has one; False, with the way to layer times, where there are none."""
    scope = settings.scope()
    batches = passports.timed_batches(scope.model, scope.tile)
    if not batches:
        st.info(plan_words.no_times(scope.model, scope.tile), icon=":material/speed:")
        if st.button(plan_words.TO_DEVICE, icon=":material/memory:", key="to_device"):
            widgets.go_to("device")
        return False
    held = current.edits()
    with st.container(horizontal=True, vertical_alignment="bottom"):
        batch = st.segmented_control(
            "Batch",
            batches,
            default=held.batch if held.batch in batches else batches[0],
            key=f"budget_batch_{scope.model}_{batches}",
            required=True,
            help=HELP["budget_batch"],
        )
        settings.set_edits(replace(held, batch=batch, budget_ms=_budget(replace(held, batch=batch))))
    return True


def _budget(edited: Edits) -> float:
    """Milliseconds that all layers may take together, within what was measured."""
    scope = settings.scope()
    spec = settings.spec(edited, method=scope.method, layers=current.layer_names())
    reach = planning.reach(scope.model, spec, uploads.data())
    assert reach is not None, "the batch size is one of those measured"
    low, high, step = formats.slider_range(reach.least_ms, reach.dense_ms)
    if low >= high:
        st.caption(plan_words.no_gain(reach.dense_ms))
        return high
    asked = edited.budget_ms or (low + high) / 2
    return st.slider(
        "○ Time for all layers (ms)",
        low,
        high,
        min(max(asked, low), high),
        step=step,
        format="%.4g",
        key=f"budget_{scope.model}_{scope.tile}_{edited.batch}_{low}_{high}",
        help=HELP["budget"],
    )


def layer_picker(plan: PruningPlan) -> str:
    """The layer in focus."""
    planned = [layer.name for layer in plan]
    selection.choose_layer(planned, current.costliest(plan))
    return st.selectbox("Layer", planned, key=keys.LAYER, bind="query-params", help=HELP["layer"])
