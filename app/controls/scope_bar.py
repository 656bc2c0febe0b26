"""The scope bar: model, tile, ratio and method, on every page."""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st

from app.asked import preset_of_ratio
from app.components.masks_file import masks_in_use, masks_line
from app.services import scope_choices
from app.state import keys, settings
from app.state.edits import RATIO_LIMITS
from app.titles import PATTERN_TITLES
from app.words import formats
from app.words.help_texts import HELP
from bcbp.allocation import ALLOCATIONS
from bcbp.spec import PruneSpec


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
