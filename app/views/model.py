"""Model: what this is, what to press, and what of the network can be pruned."""

from __future__ import annotations

from collections import defaultdict

import pandas as pd
import streamlit as st

from app import charts, current
from app.components.doors import three_doors
from app.components.mask_canvas import Panel, mask_canvas, picture
from app.components.own_images import own_images
from app.components.own_network import download_button, own_network
from app.controls import widgets
from app.services import models
from app.state import keys, messages, settings
from app.titles import METHOD_TITLES
from app.words import formats, frame_words, model_words
from app.words.help_texts import HELP
from bcbp.intake.model import NO_IMAGES, LoadedModel


def hero(model: LoadedModel) -> None:
    """What this is, in a sentence and a picture, and the two things to do from here."""
    words, example = st.columns([3, 2], gap="medium", vertical_alignment="center")
    with words:
        st.title(frame_words.QUESTION, anchor=False)
        st.markdown(model_words.TAGLINE)
        with st.container(horizontal=True, vertical_alignment="center"):
            if st.button(model_words.START, type="primary", icon=":material/play_arrow:", key="hero_run"):
                messages.ask_for_run()
                widgets.go_to("run")
            if st.button(model_words.TUNE_FIRST, icon=":material/tune:", key="hero_tune"):
                widgets.go_to("tune")
            if model.name != settings.DEFAULTS[keys.MODEL]:
                st.button(model_words.USE_SAMPLE, icon=":material/undo:", on_click=settings.use_sample)
        st.caption(model_words.start_caption(with_accuracy=model.trained and current.has_images()))
    with example:
        picture_of_method(model)


def picture_of_method(model: LoadedModel) -> None:
    """What the method in focus keeps of the layer with the most work."""
    plan, method = current.plan(), settings.scope().method
    layer = plan[current.costliest(plan)]
    panel = Panel(method, METHOD_TITLES[method], charts.method_color(method), layer.mask)
    data = picture((panel,), model.layer(layer.name))
    mask_canvas(data, key="hero_mask", alt=f"Mask of {layer.name}", panel_height=150, tools=False)
    st.caption(model_words.hero_picture(layer.name))


def facts(model: LoadedModel) -> None:
    """The network in numbers."""
    st.subheader(model.title)
    if model.note:
        st.caption(formats.literal(model.note))
    if not current.has_images():
        st.caption(NO_IMAGES)
    if not model.trained:
        st.warning(model_words.UNTRAINED, icon=":material/casino:")
        download_button(model)
    dense = models.left_dense(model.name)
    parameters = sum(value.numel() for value in model.module.parameters())
    widgets.figures(
        ("Pruned by default", model_words.pruned(len(model.layers), len(dense)), HELP["pruned"]),
        ("Parameters", formats.amount(parameters), None),
        ("Multiply-adds", formats.amount(models.network_macs(model.name)), "Per image"),
        ("Input", " × ".join(map(str, model.input_shape)), None),
    )
    st.caption(model_words.prepared(models.preprocessing(model.name)), help=HELP["preprocessing"])


def prunable(model: LoadedModel) -> None:
    """One line a layer, in the order of execution."""
    dense = models.left_dense(model.name)
    total = models.network_macs(model.name)
    lines = [
        {
            "Layer": info.name,
            "Kind": model_words.layer_kind(info.kind, info.geometry.kernel, info.geometry.stride),
            "Filters × columns": f"{info.rows} × {info.columns}",
            "Input plane": f"{info.plane[0]} × {info.plane[1]}",
            "Parameters": formats.amount(info.weights),
            "Share of work": 100 * info.macs / total,
            "By default": f"stays dense: {dense[info.name]}" if info.name in dense else "pruned",
        }
        for info in model.layers
    ]
    st.dataframe(
        pd.DataFrame(lines),
        hide_index=True,
        height=min(38 + 35 * len(lines), 458),
        column_config={
            "Layer": st.column_config.TextColumn(pinned=True),
            "Share of work": st.column_config.NumberColumn(format="%.1f %%"),
            "By default": st.column_config.TextColumn(width="large"),
        },
        alt="Layers that can be pruned",
    )


def not_prunable(model: LoadedModel) -> None:
    """Every other layer with weights, by reason."""
    names = defaultdict(list)
    for name, reason in model.skipped:
        names[reason].append(name)
    with st.expander(model_words.not_prunable(len(model.skipped)), icon=":material/block:"):
        if not names:
            st.write("Every layer with weights can be pruned.")
        for reason, layers in names.items():
            st.markdown(f"**{reason}** ({len(layers)}): {', '.join(f'`{layer}`' for layer in layers)}")


network = models.model(settings.scope().model)
hero(network)
three_doors()
own_network()
own_images(network)
facts(network)
prunable(network)
not_prunable(network)
