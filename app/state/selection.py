"""What is picked to be looked at: a layer, runs, a passport; and what Compare shows of a run."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TypeVar

import streamlit as st

from app.state import keys, messages

MOST_BESIDE = 6

Option = TypeVar("Option")


def choose_layer(layers: Sequence[str], default: str) -> None:
    """Before the widget LAYER is shown: its layer, or the link's, if `layers` has it, else `default`."""
    held, asked = st.session_state.get(keys.LAYER), st.query_params.get(keys.LAYER)
    if held in layers or (held is None and asked in layers):
        return
    if held is None and asked is not None:
        messages.note_in_vain(keys.LAYER, asked, default)
    st.session_state[keys.LAYER] = default


def focus_layer(name: str) -> None:
    """Show this layer. Only from a callback, before the widget LAYER is shown again."""
    st.session_state[keys.LAYER] = name


def run_id() -> str | None:
    """The run in focus, from the link or chosen here."""
    return st.session_state.get(keys.RUN)


def set_run(run: str | None) -> None:
    st.session_state[keys.RUN] = run


def linked_runs() -> frozenset[str | None]:
    """The runs that the link names: the one in focus, and those side by side."""
    return frozenset((run_id(), *_asked_beside(), *st.session_state.get(keys.SIDE_BY_SIDE, ())))


def _asked_beside() -> list[str]:
    return list(dict.fromkeys(filter(None, st.session_state.get(keys.BESIDE, "").split("."))))


def beside() -> str | None:
    """The runs side by side, as the link has them; what it asked, until they were looked at."""
    return ".".join(st.session_state.get(keys.SIDE_BY_SIDE, ())) or st.session_state.get(keys.BESIDE)


def choose_beside(known: Collection[str]) -> None:
    """Before the widget SIDE_BY_SIDE is shown: the runs of the link, once, and none that is not `known`."""
    asked = _asked_beside()
    if st.session_state.pop(keys.BESIDE, None) is not None:
        found = [run for run in asked if run in known][:MOST_BESIDE]
        if vain := [run for run in asked if run not in found]:
            messages.note_in_vain(keys.BESIDE, vain[0], f"{len(found)} of {len(asked)} runs")
        st.session_state[keys.SIDE_BY_SIDE] = found
    held = st.session_state.get(keys.SIDE_BY_SIDE, [])
    if any(run not in known for run in held):  # deleted since
        st.session_state[keys.SIDE_BY_SIDE] = [run for run in held if run in known]


def first_shown(widget: str, key: str, options: Sequence[Option], default: Option | None) -> Option | None:
    """What the choice called `widget` is to start with: nothing where the link has set it, else `default`.

    The link names one of `options` by its `str`; what it asks in vain becomes a notice. It is asked once.
    """
    if not options:
        return default
    asked = st.session_state.pop(key, None)
    found = {str(option): option for option in options}
    if asked in found:
        st.session_state[widget] = found[asked]
        return None
    if asked is not None:
        messages.note_in_vain(key, asked, str(default))
    return default


def set_shown(**chosen: object) -> None:
    """What the link is to say of Compare: names out of SHOWN_..., None for what it would show by itself."""
    st.session_state[keys.CHOSEN] = {key: str(value) for key, value in chosen.items() if value is not None}


def passport_id(known: Sequence[str], default: str) -> str:
    """The passport in focus, from the link or chosen here; `default` if `known` does not have it."""
    held = st.session_state.get(keys.PASSPORT)
    if held in known:
        return str(held)
    if held is not None:
        messages.note_in_vain(keys.PASSPORT, held, default)
        set_passport(None)
    return default


def set_passport(passport: str | None) -> None:
    """Show this passport; None for this machine's own."""
    st.session_state[keys.PASSPORT] = passport
