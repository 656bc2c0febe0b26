"""The fields of a request as widgets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import streamlit as st

from app import people
from app.asked import asked as told
from app.asked import is_outcome, preset_of_ratio
from app.components.masks_file import masks_in_use, masks_line
from app.components.ratio_choice import ratio_choice
from app.services import machine, models, passports, planning, scope_choices
from app.state import keys, selection, settings, uploads
from app.state.edits import RATIO_LIMITS, Edits
from app.titles import (
    CRITERION_TITLES,
    METHOD_TITLES,
    PATTERN_TITLES,
    PRECISION_TITLES,
    PRESET_TITLES,
    RECOVERY_TITLES,
)
from app.words import formats, model_words, plan_words, run_words
from app.words.help_texts import HELP
from bcbp.allocation import ALLOCATIONS
from bcbp.allocation.explicit import EXPLICIT
from bcbp.device_request import RATIOS, DeviceRequest
from bcbp.errors import BcbpError
from bcbp.plan import PruningPlan
from bcbp.recovery import FINETUNE
from bcbp.recovery.tuning import Tuning
from bcbp.request import CompareRequest
from bcbp.runtime import CPU, GPU
from bcbp.spec import DENSE, PruneSpec
from kernels.precision import FP16, FP32

BATCHES = (1, 8, 32, 64)
IMAGES = (1000, 2000, 5000, 0)  # 0: all of them
ROUNDS = (9, 15, 31, 61)
EPOCHS = (1, 2, 3, 5, 10, 20)
DISTILLATION = 0.5  # its share of the loss where it is switched on


def scope_bar(labels: Mapping[str, str]) -> None:
    """Model, tile, ratio, method: kept in the address bar. `labels` are other words for them, by key."""
    with st.container(border=True, key="scope_bar", horizontal=True):
        st.selectbox(
            labels.get(keys.MODEL, "Model"),
            tuple(dict.fromkeys((*scope_choices.MODEL_NAMES, settings.scope().model))),
            key=keys.MODEL,
            bind="query-params",
            help=HELP["model"],
        )
        st.selectbox(
            labels.get(keys.METHOD, "Method"),
            tuple(PATTERN_TITLES),
            format_func=PATTERN_TITLES.__getitem__,
            key=keys.METHOD,
            bind="query-params",
            help=HELP["method"],
        )
        words = {keys.TILE: "Tile (V filters)", keys.RATIO: "Ratio removed", **labels}
        held = masks_in_use()
        if held is None:
            _tile_and_ratio(words)
        else:
            _tile_and_ratio_of(held, words)
    if held is not None:
        masks_line(held)


def _tile_and_ratio(labels: Mapping[str, str]) -> None:
    st.selectbox(
        labels[keys.TILE], scope_choices.TILES, key=keys.TILE, bind="query-params", help=HELP["tile"]
    )
    preset = settings.allocation()
    if not ALLOCATIONS[preset].follows_ratio:
        _held((keys.RATIO, preset_of_ratio(preset)), labels, help=HELP["allocation"])
        return
    low, high = RATIO_LIMITS
    st.slider(
        labels[keys.RATIO],
        low,
        high,
        step=0.01,
        format="percent",
        key=keys.RATIO,
        bind="query-params",
        help=HELP["ratio"],
    )


def _tile_and_ratio_of(masks: PruneSpec, labels: Mapping[str, str]) -> None:
    """What the file of masks in use has, to be read; the settings wait for the way back."""
    for held in ((keys.TILE, str(masks.tile)), (keys.RATIO, formats.ratio_percent(masks.ratio))):
        _held(held, labels, help=HELP["masks_file"])


def _held(value: tuple[str, str], labels: Mapping[str, str], *, help: str) -> None:
    """A setting of the scope, by its key, that something else decides: to be read alone."""
    key, words = value
    settings.keep_scope((key,))
    st.selectbox(labels[key], (words,), key=f"held_{key}_{words}", disabled=True, help=help)


def go_to(page: str) -> None:
    """Open another page. Without `query_params` Streamlit refuses to: it would have to drop bound ones."""
    st.switch_page(f"views/{page}.py", query_params={})


def current_edits() -> Edits:
    """The edits of the scope's model."""
    named = {keys.ALLOCATION: PRESET_TITLES, keys.CRITERION: CRITERION_TITLES}
    return settings.edits(layer_names(), named)


def layer_names() -> tuple[str, ...]:
    return tuple(layer.name for layer in models.model(settings.scope().model).layers)


def current_plan(method: str | None = None) -> PruningPlan:
    """The plan of the scope and its edits, for the method in focus or another."""
    scope = settings.scope()
    spec = settings.spec(current_edits(), method=method or scope.method, layers=layer_names())
    return planning.plan(scope.model, spec, uploads.data())


def has_images() -> bool:
    """Whether there is something to test on: the scope's model comes with images, or some are given."""
    return models.model(settings.scope().model).dataset is not None or uploads.data() is not None


def preset() -> None:
    """How the ratio is spread over the layers."""
    edits = current_edits()
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
        plan = current_plan()
    except BcbpError:
        return edits.explicit({})
    return edits.explicit({layer.name: layer.target for layer in plan})


def criterion() -> None:
    """What says how much a weight matters."""
    edits = current_edits()
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
    edits = current_edits()
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
            go_to("device")
        return False
    held = current_edits()
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
    spec = settings.spec(edited, method=scope.method, layers=layer_names())
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


def costliest(plan: PruningPlan) -> str:
    """The planned layer with the most multiply-adds; of equals, the one with the most tiles."""
    model = models.model(settings.scope().model)
    return max(plan, key=lambda layer: (model.layer(layer.name).macs, len(layer.mask.keep))).name


def layer_picker(plan: PruningPlan) -> str:
    """The layer in focus."""
    planned = [layer.name for layer in plan]
    selection.choose_layer(planned, costliest(plan))
    return st.selectbox("Layer", planned, key=keys.LAYER, bind="query-params", help=HELP["layer"])


def run_settings() -> CompareRequest:
    """What to measure. Raises SpecError for settings that cannot be carried out."""
    methods = st.pills(
        "Compare dense with",
        tuple(PATTERN_TITLES),
        default=[name for name in CompareRequest().methods if name != DENSE],
        format_func=METHOD_TITLES.__getitem__,
        selection_mode="multi",
        key="run_methods",
        persist_state="session",
        help=HELP["methods"],
    )
    held = settings.masks()
    ratios = () if held else ratio_choice(current_edits().allocation)
    batches = st.pills(
        "Batch sizes",
        BATCHES,
        default=[1, 32],
        selection_mode="multi",
        key="run_batches",
        persist_state="session",
        help=HELP["batches"],
    )
    device, precision = _device_and_precision()
    with st.expander("More settings", icon=":material/tune:"):
        more = _more_settings()
    method = held.pattern if held else settings.scope().method
    spec = settings.spec(current_edits(), method=method, layers=layer_names())
    request = CompareRequest(
        model=settings.scope().model,
        methods=(DENSE, *methods),
        spec=replace(spec, recovery=more["recovery"]),
        ratios=ratios,
        batches=tuple(sorted(batches)),
        images=more["images"] or None,
        tuning=more["tuning"],
        rounds=more["rounds"],
        data=more["data"],
        device=device,
        precision=precision,
    )
    if spec.budget_ms is None:
        return request
    wanted = {*request.batches, spec.batch}  # a prediction is there to be held against a measurement
    device, precision = machine.run_device()
    return replace(request, device=device, precision=precision, batches=tuple(sorted(wanted)))


def asked(request: CompareRequest) -> dict[str, str]:
    """What is to be measured, by the name of the choice. Raises BcbpError where there is no plan for it."""
    return told(request, current_plan(request.spec.pattern).sparsity if is_outcome(request) else None)


def _device_and_precision() -> tuple[str, str]:
    """Where networks are timed, and in which number format. Nothing to choose where there is no GPU."""
    devices = machine.live_devices()
    if GPU not in devices:
        return CPU, FP32.name
    device = st.segmented_control(
        "Device",
        devices,
        default=GPU,
        format_func=run_words.device_title,
        key="run_device",
        persist_state="session",
        required=True,
        help=HELP["device"],
    )
    if device == CPU:
        return CPU, FP32.name
    precision = st.segmented_control(
        "Precision",
        tuple(PRECISION_TITLES),
        default=FP16.name,
        format_func=PRECISION_TITLES.__getitem__,
        key="run_precision",
        persist_state="session",
        required=True,
        help=HELP["precision"],
    )
    return device, precision


def _more_settings() -> dict[str, Any]:
    """Recovery and how it trains, test images, rounds, data folder, under their names in the request."""
    recovery = st.segmented_control(
        "Recovery",
        tuple(RECOVERY_TITLES),
        default=CompareRequest().spec.recovery,
        format_func=RECOVERY_TITLES.__getitem__,
        key="run_recovery",
        persist_state="session",
        required=True,
        help=HELP["recovery"],
    )
    tuning = _tuning() if recovery == FINETUNE.name else Tuning()
    images = st.segmented_control(
        "Test images",
        IMAGES,
        default=0,
        format_func=lambda count: f"{count:,}" if count else "all",
        key="run_images",
        persist_state="session",
        required=True,
        help=HELP["images"],
    )
    rounds = _rounds("run_rounds")
    if (given := uploads.images()) is not None:
        st.caption(model_words.images_in_use(given))
    elif not people.is_shared():  # a visitor must not look through the server's folders
        st.text_input("Folder with images", key=keys.DATA, persist_state="session", help=HELP["data"])
    return {
        "recovery": recovery,
        "tuning": tuning,
        "images": images,
        "rounds": rounds,
        "data": uploads.data(),
    }


def _tuning() -> Tuning:
    """How to fine-tune, asked only where it is to be done."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        epochs = st.segmented_control(
            "Epochs",
            EPOCHS,
            default=Tuning().epochs,
            key="run_epochs",
            persist_state="session",
            required=True,
            help=HELP["epochs"],
        )
        distill = st.toggle("Distillation", key="run_distill", persist_state="session", help=HELP["distill"])
    return Tuning(epochs=epochs, distill=DISTILLATION if distill else 0.0)


def device_settings(device: str) -> DeviceRequest:
    """What to measure of a device. Raises SpecError for settings that cannot be carried out."""
    default, scope = DeviceRequest(), settings.scope()
    batches = st.pills(
        "Batch sizes to time",
        BATCHES,
        default=default.batches,
        selection_mode="multi",
        key="device_batches",
        persist_state="session",
        help=HELP["device_batches"],
    )
    with st.expander("More settings", icon=":material/tune:"):
        ratios = st.pills(
            "Ratios to time",
            (0.1, *RATIOS),
            default=RATIOS,
            format_func=formats.ratio_percent,
            selection_mode="multi",
            key="device_ratios",
            persist_state="session",
            help=HELP["device_ratios"],
        )
        rounds = _rounds("device_rounds")
        again = st.toggle("Measure again", key="device_again", persist_state="session", help=HELP["again"])
    return DeviceRequest(
        model=scope.model,
        device=device,
        tile=scope.tile,
        ratios=tuple(sorted(ratios)),
        batches=tuple(sorted(batches)),
        rounds=rounds,
        again=again,
    )


def _rounds(key: str) -> int:
    return st.segmented_control(
        "Timing rounds",
        ROUNDS,
        default=CompareRequest().rounds,
        key=key,
        persist_state="session",
        required=True,
        help=HELP["rounds"],
    )


def figures(*shown: tuple[str, str, str | None]) -> None:
    """(Label, value, help) side by side, wrapping on small screens: containers keep a least width there."""
    with st.container(horizontal=True):
        for label, value, explanation in shown:
            with st.container():
                st.metric(label, value, border=True, help=explanation)


def show_chart(figure: object, *, key: str, alt: str) -> None:
    """A chart without the toolbar that only crowds small screens."""
    st.plotly_chart(figure, key=key, config={"displayModeBar": False}, alt=alt)
