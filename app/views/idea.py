"""Idea: for people outside the field. A real layer cut in tiles, blocks side by side, what was measured."""

from __future__ import annotations

import streamlit as st

from app import charts, idea_charts
from app.components.mask_canvas import Panel, mask_canvas, picture
from app.controls import widgets
from app.recorded import Measured, Recording, sample_recording
from app.services import models, planning
from app.state import keys, settings
from app.titles import METHOD_TITLES
from app.words import formats, idea_words
from bcbp.plan import LayerPlan
from bcbp.spec import PruneSpec

SAMPLE, LAYER = str(settings.DEFAULTS[keys.MODEL]), "stages.2.0.conv2"
PATTERNS = ("bcbp", "column")


def share_removed(recording: Recording) -> float:
    """One slider, over what was measured and nothing between."""
    ratios = [point.ratio for point in recording.points]
    return float(
        st.select_slider(
            idea_words.REMOVED,
            ratios,
            value=min(ratios, key=lambda ratio: abs(ratio - 0.5)),
            format_func=lambda ratio: formats.ratio_percent(ratio) if ratio else idea_words.NONE_REMOVED,
            key="idea_ratio",
        )
    )


def planned(method: str, ratio: float, tile: int) -> LayerPlan:
    return planning.plan(SAMPLE, PruneSpec(method, ratio=ratio, tile=tile))[LAYER]


def cut(plans: dict[str, LayerPlan], tile: int) -> None:
    """The layer under both patterns, on the same axes."""
    st.subheader(idea_words.CUT, anchor=False)
    info = models.model(SAMPLE).layer(LAYER)
    panels = tuple(
        Panel(name, METHOD_TITLES[name], charts.method_color(name), plan.mask) for name, plan in plans.items()
    )
    mask_canvas(
        picture(panels, info), key="idea_masks", alt=idea_words.MASKS_ALT, panel_height=150, tools=False
    )
    st.markdown(idea_words.CUT_NOTE.format(tile=tile))


def side_by_side(plans: dict[str, LayerPlan]) -> None:
    """How long each block works, and how long it waits for the slowest."""
    st.subheader(idea_words.RUN, anchor=False)
    counts = {name: plan.mask.kept_per_tile.tolist() for name, plan in plans.items()}
    longest = max(max(kept) for kept in counts.values())
    words = {
        "bcbp": idea_words.BALANCED.format(tiles=len(counts["bcbp"])),
        "column": idea_words.UNBALANCED.format(idle=plans["column"].mask.wit),
    }
    for place, (name, kept) in zip(st.columns(len(counts), gap="medium"), counts.items(), strict=True):
        with place:
            st.markdown(f"**{words[name]}**")
            figure = idea_charts.blocks(kept, color=charts.method_color(name), longest=longest)
            widgets.show_chart(figure, key=f"blocks_{name}", alt=idea_words.BLOCKS_ALT)
    st.markdown(idea_words.RUN_NOTE)


def at(recording: Recording, ratio: float) -> Measured:
    return next(one for one in recording.points if one.ratio == ratio)


def measured(recording: Recording, unbalanced: Recording, ratio: float) -> None:
    """Speed, accuracy, size: three recorded numbers against the dense network; then what balance did."""
    st.subheader(idea_words.MEASURED, anchor=False)
    dense, point, other = recording.points[0], at(recording, ratio), at(unbalanced, ratio)
    low, high = point.speedup_interval
    widgets.figures(
        (idea_words.SPEED, formats.times(point.speedup), f"95 % interval: {low:.2f} to {high:.2f}"),
        (idea_words.accuracy(formats.percent(dense.accuracy)), formats.percent(point.accuracy), None),
        (idea_words.SIZE, formats.percent(point.size, 0), "Numbers that are left of the whole network"),
    )
    if ratio:
        speeds = [(formats.times(one.speedup), one.speedup_interval) for one in (point, other)]
        st.markdown(idea_words.balance_here(*speeds))
    st.caption(
        idea_words.recorded(
            recording.environment,
            batch=recording.batch,
            tested_on=f"{recording.images:,} test images of {recording.dataset}",
        )
    )


found, unbalanced = (sample_recording(name) for name in PATTERNS)
st.title(idea_words.TITLE, anchor=False)
st.markdown(idea_words.LEAD)
removed = share_removed(found)
plans_of = {name: planned(name, removed, found.tile) for name in PATTERNS}
measured(found, unbalanced, removed)
cut(plans_of, found.tile)
side_by_side(plans_of)
if st.button(idea_words.TRY, type="primary", icon=":material/play_arrow:", key="idea_try"):
    widgets.go_to("run")
