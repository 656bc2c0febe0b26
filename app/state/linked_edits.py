"""The edits of a model in the link: taken from it, and written into it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import streamlit as st

from app.state import keys, messages, packed_layers
from app.state.edits import Edits
from app.words import plan_words
from bcbp.allocation.latency import LATENCY
from bcbp.errors import SpecError
from bcbp.spec import PruneSpec

YES = "yes"


def taken(layers: Sequence[str], named: Mapping[str, Collection[str]]) -> Edits:
    """The edits that the link asks for, which it does once; what it asks in vain becomes a notice."""
    found = Edits()
    for key, names in named.items():
        asked = st.session_state.pop(key, None)
        if asked in names:
            found = replace(found, **{key: asked})
        elif asked is not None:
            messages.note_in_vain(key, asked, getattr(found, key))
    found = _with_budget(found)
    if (asked := st.session_state.pop(keys.PERMUTE, None)) is not None:
        found = replace(found, permute=asked == YES)
        if not found.permute:
            messages.note_in_vain(keys.PERMUTE, asked, plan_words.OWN_ORDER)
    packed = st.session_state.pop(keys.LAYERS, None)
    if packed is None:
        return found
    try:
        ratios, exclude = packed_layers.decode(packed, layers)
    except ValueError:
        messages.note_in_vain(keys.LAYERS, packed, "the preset's ratios")
        return found
    return replace(found, ratios=ratios, exclude=exclude)


def _with_budget(found: Edits) -> Edits:
    """The link's latency budget and its batch size, where it has them."""
    asked = {key: st.session_state.pop(key, None) for key in (keys.BUDGET, keys.BATCH)}
    try:
        budget = None if asked[keys.BUDGET] is None else float(asked[keys.BUDGET])
        batch = found.batch if asked[keys.BATCH] is None else int(asked[keys.BATCH])
        PruneSpec(budget_ms=budget, batch=batch)
    except (ValueError, SpecError):
        words = " at batch ".join(str(one) for one in asked.values() if one is not None)
        messages.note_in_vain(keys.BUDGET, words, "a budget that was measured")
        return found
    return replace(found, budget_ms=budget, batch=batch)


def written(held: Edits, layers: Sequence[str]) -> dict[str, str | None]:
    """What the link is to say of these edits: by its names, None for what goes without saying."""
    budget = held.budget_ms if held.allocation == LATENCY.name else None
    return {
        keys.ALLOCATION: None if held.allocation == Edits().allocation else held.allocation,
        keys.CRITERION: None if held.criterion == Edits().criterion else held.criterion,
        keys.PERMUTE: YES if held.permute else None,
        keys.BUDGET: None if budget is None else f"{budget:g}",
        keys.BATCH: None if budget is None else str(held.batch),
        keys.LAYERS: packed_layers.encode(held, layers) if held.own or held.exclude else None,
    }
