"""The address bar's link: what it asks of a new session, and what it is to say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import streamlit as st

from app import doors
from app.state import keys, linked_edits, messages, selection, settings, uploads
from app.state.edits import RATIO_LIMITS
from app.words import formats, model_words

# Kept in the session until who knows the model or the runs can take it.
_TAKEN = (
    *(keys.ALLOCATION, keys.CRITERION, keys.PERMUTE, keys.BUDGET, keys.BATCH, keys.LAYERS, keys.MASKS),
    *(keys.RUN, keys.BESIDE, keys.PASSPORT, keys.DOOR, *keys.SHOWN),
)


def take(choices: Mapping[str, Mapping[str, str | int]]) -> None:
    """On a session's first run: take what the link asks for, and note what it asks for in vain.

    `choices` gives the values of the scope's widgets by their key and by the words that a link may use.
    """
    st.session_state.update(st.session_state.pop(keys.NEXT, {}))
    if keys.OPENED in st.session_state:
        return
    st.session_state[keys.OPENED] = True
    st.session_state[keys.EDITS] = {}
    st.session_state[keys.IN_USE] = {}
    for key, default in settings.DEFAULTS.items():
        asked = st.query_params.get(key)
        found = default if asked is None else _asked_value(key, asked, choices)
        if found is None:
            messages.note_in_vain(key, str(asked), _shown(key, default))
        st.session_state[key] = default if found is None else found
    st.session_state[keys.OWN_IMAGES] = {}
    if (asked := asked_images()) and asked_model() in (None, settings.chosen_model()):
        if asked in choices[keys.IMAGES]:
            uploads.set_images(asked)
        else:
            messages.note_in_vain(keys.IMAGES, asked, model_words.NO_OWN_IMAGES)
    for key in _TAKEN:
        if asked := st.query_params.get(key):
            st.session_state[key] = asked
    if (door := st.session_state.get(keys.DOOR, "")) and door not in doors.DOORS:
        messages.note_in_vain(keys.DOOR, door, "the usual order of pages")
        del st.session_state[keys.DOOR]


def asked_model() -> str | None:
    """The model that the link names."""
    return st.query_params.get(keys.MODEL)


def asked_images() -> str | None:
    """The stored images that the link names."""
    return st.query_params.get(keys.IMAGES)


def _asked_value(
    key: str, asked: str, choices: Mapping[str, Mapping[str, str | int]]
) -> str | int | float | None:
    """The value that a link means, or None if there is no such."""
    if key != keys.RATIO:
        return choices[key].get(asked)
    try:
        ratio = float(asked)
    except ValueError:
        return None
    return ratio if RATIO_LIMITS[0] <= ratio <= RATIO_LIMITS[1] else None


def _shown(key: str, value: object) -> str:
    return formats.ratio_percent(float(str(value))) if key == keys.RATIO else str(value)


def write(layers: Sequence[str]) -> None:
    """Put the edits and the run into the address bar: a copied link opens the same screen."""
    wanted = {
        **linked_edits.written(settings.held_edits(), layers),
        keys.MASKS: used.masks if (used := settings.masks()) else None,
        keys.RUN: selection.run_id(),
        keys.BESIDE: selection.beside(),
        keys.PASSPORT: st.session_state.get(keys.PASSPORT),
        keys.IMAGES: uploads.images(),
        keys.DOOR: doors.current().name or None,
        **{key: st.session_state.get(keys.CHOSEN, {}).get(key) for key in keys.SHOWN},
    }
    for key, value in wanted.items():
        if value is None:
            st.query_params.pop(key, None)
        elif st.query_params.get(key) != value:
            st.query_params[key] = value
