"""Masks: one layer as each method prunes it, on the same axes."""

from __future__ import annotations

import streamlit as st

from app import charts, current
from app.components.mask_canvas import Panel, Window, exact_columns, mask_canvas, picture
from app.controls import plan_settings, widgets
from app.services import models, planning
from app.state import settings
from app.titles import METHOD_TITLES, PATTERN_TITLES, PRESET_TITLES
from app.words import formats, plan_words, run_words
from app.words.help_texts import HELP
from bcbp.geometry import LayerInfo
from bcbp.plan import LayerPlan

SIDE_BY_SIDE = ("bcbp", "column", "block", "filter")


def choices() -> tuple[str, tuple[str, ...], str, str]:
    """Layer, methods, what is shown, and with what."""
    layer = plan_settings.layer_picker(current.plan())
    with st.container(horizontal=True, vertical_alignment="bottom"):
        methods = st.pills(
            "Methods",
            tuple(PATTERN_TITLES),
            default=_first(settings.scope().method),
            format_func=METHOD_TITLES.__getitem__,
            selection_mode="multi",
            wrap=True,
            key=f"mask_methods_{settings.scope().method}",
            help=HELP["masks_methods"],
        )
        viewer = st.segmented_control(
            "Viewer",
            ("Canvas", "Chart"),
            default="Canvas",
            key="mask_viewer",
            required=True,
            help=HELP["viewer"],
        )
        shown = st.segmented_control(
            "Show",
            ("Mask", "Magnitude"),
            default="Mask",
            key="mask_show",
            disabled=viewer == "Chart",
            required=True,
            help=HELP["magnitude"],
        )
    return layer, tuple(methods), shown, viewer


def _first(method: str) -> list[str]:
    """The method in focus before the others."""
    return [method, *(name for name in SIDE_BY_SIDE if name != method)]


def panels(layer: str, methods: tuple[str, ...], *, with_magnitude: bool) -> tuple[Panel, ...]:
    """The layer's mask under each method, by the same edits; methods that do not touch it are named."""
    found, untouched = [], []
    for method in methods:
        plan = current.plan(method)
        title = METHOD_TITLES[method]
        if layer in {entry.name for entry in plan}:
            found.append(panel(plan[layer], method, title, with_magnitude=with_magnitude))
        else:
            untouched.append(f"{title} ({dict(plan.kept_dense).get(layer, 'left dense')})")
    if untouched:
        st.caption(f"Left dense by: {', '.join(untouched)}")
    return tuple(found)


def own_ratio(name: str) -> None:
    """What the method in focus is asked to remove of the layer, by whom, and what comes out."""
    plan, edits, method = current.plan(), current.edits(), settings.scope().method
    by = plan_words.LOCKED if name in edits.ratios else PRESET_TITLES[edits.allocation]
    layer = plan[name]
    st.caption(plan_words.own_ratio(METHOD_TITLES[method], layer.target, layer.ratio, by))


def panel(layer: LayerPlan, method: str, title: str, *, with_magnitude: bool) -> Panel:
    """One method's mask of the layer."""
    scope = settings.scope()
    magnitude = planning.magnitude(scope.model, scope.tile, layer) if with_magnitude else None
    return Panel(method, title, charts.method_color(method), layer.mask, magnitude)


def canvas(shown: tuple[Panel, ...], info: LayerInfo) -> None:
    """All panels in one canvas; very wide layers offer a window that is exact to the bit."""
    window = Window(0, info.columns)
    widest = exact_columns(shown)
    if info.columns > widest and st.toggle(plan_words.WINDOW_TOGGLE, key="mask_window", help=HELP["window"]):
        first = st.slider(
            plan_words.window_label(widest), 0, info.columns - widest, 0, step=8, key="mask_first"
        )
        window = Window(first, first + widest)
    data = picture(shown, info, window=window)
    mask_canvas(data, key="masks", alt=f"Masks of {info.name}", panel_height=130 if len(shown) > 1 else 320)


def heatmaps(shown: tuple[Panel, ...]) -> None:
    """The binned fallback."""
    for panel in shown:
        st.markdown(f"**{panel.title}**: {formats.percent(panel.mask.sparsity)} removed")
        widgets.show_chart(
            charts.mask_heatmap(panel.mask, panel.method),
            key=f"heat_{panel.method}",
            alt=f"Mask of {panel.title}",
        )


name, chosen, show, with_viewer = choices()
layer_info = models.model(settings.scope().model).layer(name)
st.caption(
    plan_words.layer_line(layer_info.name, layer_info.rows, layer_info.columns, layer_info.macs),
    help=HELP["axes"],
)
own_ratio(name)
pictures = panels(name, chosen, with_magnitude=show == "Magnitude" and with_viewer == "Canvas")
if not pictures:
    st.info(run_words.NO_METHOD, icon=":material/touch_app:")
elif with_viewer == "Chart":
    heatmaps(pictures)
else:
    canvas(pictures, layer_info)
