"""What a comparison is to measure."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import streamlit as st

from app import current, people
from app.asked import asked as told
from app.asked import is_outcome
from app.components.ratio_choice import ratio_choice
from app.controls import tuning_settings, widgets
from app.controls.widgets import BATCHES
from app.services import machine
from app.state import keys, settings, uploads
from app.titles import METHOD_TITLES, PATTERN_TITLES, PRECISION_TITLES, RECOVERY_TITLES
from app.words import model_words, run_words
from app.words.help_texts import HELP
from bcbp.recovery import FINETUNE
from bcbp.recovery.tuning import Tuning
from bcbp.request import CompareRequest, timed_batches
from bcbp.runtime import CPU, GPU
from bcbp.spec import DENSE
from kernels.precision import FP16, FP32

IMAGES = (1000, 2000, 5000, 0)  # 0: all of them


def read() -> CompareRequest:
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
    ratios = () if held else ratio_choice(current.edits().allocation)
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
    spec = settings.spec(current.edits(), method=method, layers=current.layer_names())
    request = CompareRequest(
        model=settings.scope().model,
        methods=(DENSE, *methods),
        spec=replace(spec, recovery=more["recovery"]),
        ratios=ratios,
        batches=timed_batches(spec, tuple(sorted(batches))),
        images=more["images"] or None,
        tuning=more["tuning"],
        rounds=more["rounds"],
        data=more["data"],
        device=device,
        precision=precision,
    )
    if spec.budget_ms is None:
        return request
    device, precision = machine.run_device()
    return replace(request, device=device, precision=precision)


def asked(request: CompareRequest) -> dict[str, str]:
    """What is to be measured, by the name of the choice. Raises BcbpError where there is no plan for it."""
    return told(request, current.plan(request.spec.pattern).sparsity if is_outcome(request) else None)


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
    tuning = tuning_settings.read() if recovery == FINETUNE.name else Tuning()
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
    rounds = widgets.rounds("run_rounds")
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
