"""The spine of Tune: one editable line a layer, rebuilt from session state, which owns the ratios."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd
import streamlit as st

from app.services import models
from app.state import selection, settings
from app.state.edits import RATIO_LIMITS, Edits
from app.words import formats, plan_words
from app.words.help_texts import HELP
from bcbp.intake.model import LoadedModel
from bcbp.plan import LayerPlan, PruningPlan

_COLUMN = st.column_config
_EDITABLE = ("ratio", "lock", "keep")


@dataclass(frozen=True)
class Known:
    """What was measured of the layers, in words: from which ratio on each pays, and what each loses.

    `ratios` are those at which losses stand, ascending.
    """

    break_evens: Mapping[str, str] = field(default_factory=dict)
    losses: Mapping[str, str] = field(default_factory=dict)
    ratios: tuple[float, ...] = ()


def table(model: LoadedModel, plan: PruningPlan, edits: Edits, known: Known) -> pd.DataFrame:
    """Every prunable layer in the order of execution."""
    planned, dense = {layer.name: layer for layer in plan}, dict(plan.kept_dense)
    total = models.network_macs(model.name)
    lines = []
    for info in model.layers:
        layer = planned.get(info.name)
        lines.append(
            {
                "layer": info.name,
                "ratio": 100 * edits.own.get(info.name, layer.target if layer else 0.0),
                "lock": info.name in edits.ratios,
                "keep": layer is None,
                "snapped": 100 * layer.ratio if layer else 0.0,
                "sensitivity": known.losses.get(info.name, formats.NOT_MEASURED),
                "break_even": known.break_evens.get(info.name, formats.NOT_MEASURED),
                "kept": formats.span(layer.mask.kept_per_tile.tolist()) if layer else "",
                "importance": _importance(layer),
                "macs": 100 * info.macs / total,
                "gemm": f"{info.rows} × {info.columns}",
                "grid": f"{len(layer.mask.keep)} × {info.columns}" if layer else "",
                "wit": formats.percent(layer.wit_before) if layer else "",
                "engine": _engine(layer is not None and layer.ratio > 0, dense.get(info.name)),
            }
        )
    shown = pd.DataFrame(lines)
    return shown if plan.importance else shown.drop(columns="importance")


def _importance(layer: LayerPlan | None) -> str:
    return formats.before_after(*layer.importance.shares) if layer and layer.importance else ""


def _engine(sparse: bool, reason: str | None) -> str:
    return "sparse" if sparse else f"dense: {reason}" if reason else "dense"


def layer_table(model: LoadedModel, plan: PruningPlan, edits: Edits, known: Known) -> None:
    """Show the table; edits go into session state before the page runs again. Masks of a file stay."""
    lines = table(model, plan, edits, known)
    held = settings.masks()
    key = f"layer_table_{model.name}_{held.masks if held else ''}_{settings.table_version()}"
    st.data_editor(
        lines,
        key=key,
        hide_index=True,
        height=min(38 + 35 * len(lines), 560),
        column_config=_columns(known),
        disabled=True if held else [column for column in lines if column not in _EDITABLE],
        on_change=_take_edits,
        args=(key, lines, edits),
        alt="Layers with their ratios, locks and sizes",
    )


def _columns(known: Known) -> dict[str, Any]:
    words = HELP
    low, high = (100 * limit for limit in RATIO_LIMITS)
    return {
        "layer": _COLUMN.TextColumn("Layer", pinned=True),
        "ratio": _COLUMN.NumberColumn(
            "Ratio",
            format="%.4g %%",
            min_value=low,
            max_value=high,
            step=0.5,
            pinned=True,
            help=words["ratio"],
        ),
        "lock": _COLUMN.CheckboxColumn("Lock", help=words["lock"]),
        "keep": _COLUMN.CheckboxColumn("Dense", help=words["exclude"]),
        "snapped": _COLUMN.NumberColumn("Removed", format="%.1f %%", help=words["snapped"]),
        "sensitivity": _COLUMN.TextColumn(
            plan_words.sensitivity_label(known.ratios) if known.ratios else plan_words.SENSITIVITY,
            help=words["sensitivity"],
        ),
        "break_even": _COLUMN.TextColumn("Break-even", help=words["break_even"]),
        "kept": _COLUMN.TextColumn("Kept / tile", help=words["balance"]),
        "importance": _COLUMN.TextColumn("Importance kept", help=words["importance"]),
        "macs": _COLUMN.NumberColumn("Work", format="%.1f %%", help=words["work"]),
        "gemm": _COLUMN.TextColumn("Matrix", help=words["axes"]),
        "grid": _COLUMN.TextColumn("Tile grid", help=words["grid"]),
        "wit": _COLUMN.TextColumn("WIT before", help=words["wit"]),
        "engine": _COLUMN.TextColumn("○ Expected", help=words["engine"]),
    }


def _take_edits(key: str, lines: pd.DataFrame, edits: Edits) -> None:
    """What the browser changed, checked again here: its limits are the browser's own."""
    for index, changes in st.session_state[key]["edited_rows"].items():
        edited = apply_edit(edits, lines.iloc[int(index)], changes, preset=settings.scope().ratio)
        if edited is None:
            settings.renew_table()
        else:
            edits = edited
            selection.focus_layer(lines.iloc[int(index)]["layer"])
    settings.set_edits(edits)


def apply_edit(
    edits: Edits, line: Mapping[str, object], changes: Mapping[str, object], *, preset: float
) -> Edits | None:
    """`edits` with the changes of one line: a new ratio locks the layer. None for a ratio out of range.

    A layer that is dense by default and should not be gets the `preset` ratio.
    """
    name = str(line["layer"])
    ratios, exclude = dict(edits.ratios), set(edits.exclude)
    low, high = RATIO_LIMITS
    if "ratio" in changes:
        ratio = changes["ratio"]
        if not isinstance(ratio, int | float) or not low <= ratio / 100 <= high:
            return None
        ratios[name] = round(ratio / 100, 4)
        exclude.discard(name)
    if "lock" in changes:
        if changes["lock"]:
            ratios[name] = round(float(str(line["ratio"])) / 100, 4)
        else:
            ratios.pop(name, None)
    if "keep" in changes:
        ratios.pop(name, None)
        if changes["keep"]:
            exclude.add(name)
        elif name in exclude:
            exclude.discard(name)
        else:
            ratios[name] = preset
    return replace(edits, ratios=ratios, exclude=frozenset(exclude))
