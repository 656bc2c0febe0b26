"""The way to another network: a file of weights, or an architecture of torchvision."""

from __future__ import annotations

import math

import pandas as pd
import streamlit as st

from app.components.uploader import uploader
from app.services import files, scope_choices, weights
from app.state import settings, uploads
from app.words import formats, model_words
from app.words.help_texts import HELP
from bcbp.errors import ModelError
from bcbp.intake.inference import Match, doubt
from bcbp.intake.model import LoadedModel
from bcbp.intake.sniff import ENDINGS, TITLES
from bcbp.intake.uploads import Reference, Upload

_TYPES = sorted({ending[1:] for endings in ENDINGS.values() for ending in endings})


def own_network() -> None:
    """Upload, then what was found in the file; or an architecture by name."""
    looked_at = uploads.upload()
    is_open = looked_at is not None or uploads.refusal(uploads.NETWORK) is not None
    with st.expander(model_words.OWN_NETWORK, icon=":material/upload_file:", expanded=is_open):
        uploader(
            uploads.NETWORK,
            "File of weights",
            _take,
            reading=model_words.READING,
            note=model_words.UPLOAD_NOTE,
            types=_TYPES,
            help=HELP["upload"],
        )
        if looked_at is not None:
            _found(files.upload(looked_at))
        _by_name()


def _take(name: str, content: memoryview) -> None:
    """Look at the file, and show it at once where there is no doubt what it is."""
    uploads.look_at(None)
    upload = files.take_in(name, content)
    uploads.look_at(upload)
    best = files.matches(upload)[0]
    if best.is_certain and files.upload(upload).reading.weights is not None:
        settings.show_model(str(Reference(upload, best.name)))


def _found(upload: Upload) -> None:
    """What the file holds, as what it can be used, and its tensors."""
    reading = upload.reading
    numbers = sum(math.prod(shape) for shape in reading.shapes.values())
    st.markdown(model_words.file_line(upload.name, TITLES[reading.kind], len(reading.shapes), numbers))
    for note in reading.notes:
        st.caption(formats.literal(note))
    if reading.weights is not None:
        _as_architecture(upload)
    lines = [
        {"Tensor": name, "Shape": " × ".join(map(str, shape)), "Type": reading.dtypes[name]}
        for name, shape in reading.shapes.items()
    ]
    st.dataframe(pd.DataFrame(lines), hide_index=True, height=180, alt=model_words.TENSORS_ALT)
    st.button("Forget this file", icon=":material/delete:", on_click=_forget, args=(upload.id,))


def _as_architecture(upload: Upload) -> None:
    """The verdict on the best match, and the choice of another."""
    found = {match.name: match for match in files.matches(upload.id)}
    _verdict(next(iter(found.values())))
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = st.selectbox(
            "Architecture",
            tuple(found),
            format_func=lambda name: model_words.fit_label(name, found[name].share),
            key=f"architecture_of_{upload.id}",
            help=HELP["architecture"],
        )
        reference = str(Reference(upload.id, chosen))
        is_shown = reference == settings.scope().model
        if st.button(
            model_words.use_as(chosen),
            disabled=is_shown or not found[chosen].is_likely,
            key="use_architecture",
        ):
            settings.show_model(reference)
            st.rerun()


def _verdict(best: Match) -> None:
    if best.is_certain:
        st.success(
            model_words.recognised(best.name, best.share, best.classes), icon=":material/check_circle:"
        )
    else:
        st.warning(formats.literal(formats.capital(doubt(best))), icon=":material/help:")


def _forget(upload: str) -> None:
    """Delete the file; where it is the model on show, back to the sample."""
    files.forget_upload(upload)
    uploads.look_at(None)
    if upload in settings.scope().model:
        settings.use_sample()


def _by_name() -> None:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = st.selectbox(
            "Or an architecture of torchvision",
            scope_choices.ARCHITECTURES,
            index=None,
            placeholder="resnet101, vgg19, densenet121, …",
            key="architecture_by_name",
            help=HELP["torchvision"],
        )
        if st.button("Show it", disabled=name is None, key="show_architecture") and name is not None:
            settings.show_model(name)
            st.rerun()


def download_button(model: LoadedModel) -> None:
    """Fetch released weights for a model without; only on a click, and offline it says what to do."""
    release = weights.missing(model.name)
    if release is None:
        return
    if st.button(model_words.fetch_label(release.megabytes), icon=":material/download:", key="fetch_weights"):
        try:
            with st.spinner(model_words.FETCHING):
                weights.download(model.name, release)
        except ModelError as error:
            st.error(formats.literal(str(error)), icon=":material/cloud_off:")
        else:
            st.rerun()
