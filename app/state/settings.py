"""What the scope's model is pruned by: the scope bar's values, and edits or masks out of a file."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import streamlit as st

from app.state import keys, linked_edits
from app.state.edits import Edits, Scope
from bcbp.allocation import ALLOCATIONS
from bcbp.allocation.latency import LATENCY
from bcbp.spec import PruneSpec

DEFAULTS: dict[str, str | int | float] = {
    keys.MODEL: "sample",
    keys.TILE: 32,
    keys.RATIO: 0.5,
    keys.METHOD: "bcbp",
}


def scope() -> Scope:
    """The scope bar's values. The browser's limits are checked again by PruneSpec, which every plan uses.

    Where masks out of a file are in use, tile and ratio are theirs.
    """
    state, held = st.session_state, masks()
    tile, ratio = (held.tile, held.ratio) if held else (int(state[keys.TILE]), float(state[keys.RATIO]))
    return Scope(state[keys.MODEL], tile, ratio, state[keys.METHOD])


def masks() -> PruneSpec | None:
    """What the file of masks was made by that the scope's model is pruned by, and its id; None without."""
    held: PruneSpec | None = st.session_state[keys.IN_USE].get(st.session_state[keys.MODEL])
    return held


def use_masks(spec: PruneSpec) -> None:
    """Prune the scope's model by the stored file that `spec` names."""
    st.session_state[keys.IN_USE][st.session_state[keys.MODEL]] = spec


def use_settings() -> None:
    """Back to the settings in place of a file of masks."""
    st.session_state[keys.IN_USE].pop(st.session_state[keys.MODEL], None)


def chosen_model() -> str:
    """The model alone, before it is known whether masks out of a file are in use."""
    return str(st.session_state[keys.MODEL])


def asked_masks() -> str | None:
    """The file of masks that the link names; it is asked once."""
    asked: str | None = st.session_state.pop(keys.MASKS, None)
    return asked


def edits(layers: Sequence[str], named: Mapping[str, Collection[str]]) -> Edits:
    """The edits of the scope's model, which has these prunable `layers`; at first those of the link.

    `named` gives the names that a link may use for ALLOCATION and CRITERION. Where masks out of a file
    are in use, they are what the file was made by.
    """
    if (spec := masks()) is not None:
        return _edits_of_masks(spec)
    held: dict[str, Edits] = st.session_state[keys.EDITS]
    model = scope().model
    if model not in held:
        held[model] = linked_edits.taken(layers, named)
    return held[model]


def allocation() -> str:
    """The preset of the scope's model, before it is loaded; one that the link asks for in vain is none."""
    if (spec := masks()) is not None:
        return spec.allocation
    held: Edits | None = st.session_state[keys.EDITS].get(chosen_model())
    if held is not None:
        return held.allocation
    asked = st.session_state.get(keys.ALLOCATION)
    return asked if asked in ALLOCATIONS else Edits().allocation


def _edits_of_masks(spec: PruneSpec) -> Edits:
    return Edits(
        spec.allocation,
        spec.criterion,
        spec.budget_ms,
        spec.batch,
        spec.permute,
        dict(spec.ratios),
        frozenset(spec.exclude),
    )


def set_edits(edited: Edits) -> None:
    """Replace the edits of the scope's model."""
    st.session_state[keys.EDITS][scope().model] = edited


def held_edits() -> Edits:
    """The edits of the scope's model so far, whatever masks are in use; none before it was asked for them."""
    held: Edits = st.session_state[keys.EDITS].get(chosen_model(), Edits())
    return held


def forget_edits() -> None:
    """Back to the preset in every layer of the scope's model."""
    set_edits(replace(held_edits(), ratios={}, exclude=frozenset()))
    renew_table()


def spec(edited: Edits, *, method: str, layers: Sequence[str]) -> PruneSpec:
    """The request of the scope, these edits and a method. Raises SpecError for values out of range.

    Where masks out of a file are in use, it is theirs for their method, for others what they were made by.
    """
    if (held := masks()) is not None:
        return held.for_pattern(method)
    current = scope()
    known = set(layers)
    timed = edited.allocation == LATENCY.name
    return PruneSpec(
        pattern=method,
        ratio=current.ratio,
        tile=current.tile,
        criterion=edited.criterion,
        allocation=edited.allocation,
        ratios=tuple(sorted((name, ratio) for name, ratio in edited.own.items() if name in known)),
        exclude=tuple(sorted(edited.exclude & known)),
        budget_ms=edited.budget_ms if timed else None,
        batch=edited.batch if timed else Edits().batch,
        permute=edited.permute,
    )


def use_sample() -> None:
    """Choose the bundled model."""
    st.session_state[keys.MODEL] = DEFAULTS[keys.MODEL]


def keep_scope(widgets: Collection[str] = tuple(DEFAULTS)) -> None:
    """Where these widgets of the scope bar are not shown: Streamlit forgets what such widgets hold."""
    for key in widgets:
        st.session_state[key] = st.session_state[key]


def reset_scope() -> None:
    """Back to where a new session begins. Only from a callback, before the scope bar is shown."""
    st.session_state.update(DEFAULTS)


def show_model(name: str) -> None:
    """Have the scope bar show this model from the next run on, whether it listed it before or not."""
    st.session_state[keys.NEXT] = {keys.MODEL: name}


def show_method(name: str) -> None:
    """Have this method in focus from the next run on."""
    st.session_state[keys.NEXT] = {keys.METHOD: name}


def choose_tile(tile: int) -> None:
    """Only from a callback: the scope bar shows the widget TILE on every page."""
    st.session_state[keys.TILE] = tile


def table_version() -> int:
    """Part of the layer table's key: a new number discards what the browser still holds of refused edits."""
    return st.session_state.setdefault(keys.TABLE, 0)


def renew_table() -> None:
    st.session_state[keys.TABLE] = table_version() + 1
