"""Pictures of one's own to test the network on: a zip of a folder of them."""

from __future__ import annotations

import streamlit as st

from app import state
from app.services import files, models
from app.words import formats, model_words
from app.words.help_texts import HELP
from bcbp.data import load_images
from bcbp.errors import DataError
from bcbp.intake.limits import FILE_BYTES
from bcbp.intake.model import LoadedModel


def own_images(model: LoadedModel) -> None:
    """Upload, then what is in the zip and which class is which; or why it cannot be used."""
    given, refused = state.images(), state.refused_images()
    is_open = given is not None or refused is not None
    with st.expander(model_words.OWN_IMAGES, icon=":material/photo_library:", expanded=is_open):
        if given is None:
            _uploader(model)
        else:
            try:
                _given(model, given)
            except DataError as error:  # forgotten in another window
                state.set_images(None)
                st.error(formats.literal(str(error)), icon=":material/error:")
        if refused is not None:
            st.error(formats.literal(refused), icon=":material/error:")


def _uploader(model: LoadedModel) -> None:
    """Takes a zip in, for this model if it fits it.

    Other files are refused here, too: were it the browser that refuses, an older refusal would stay.
    """
    file = st.file_uploader(
        "Zip of a folder of pictures",
        max_upload_size=FILE_BYTES >> 20,
        key=f"images_file_{state.uploader_version()}",
        help=HELP["images_zip"],
    )
    st.caption(model_words.IMAGES_NOTE)
    if file is None:
        return
    try:
        with st.spinner(model_words.READING_IMAGES):
            images = files.take_in_images(file.name, file.getbuffer(), model.name)
    except DataError as error:
        state.refuse_images(f"{file.name}: {error}")
    else:
        state.set_images(images)
    st.rerun()


def _given(model: LoadedModel, images: str) -> None:
    """What the zip held, and the numbers of its classes."""
    dataset = models.with_images(model.name, state.data()).dataset
    assert dataset is not None
    held = files.images(images)
    st.markdown(
        model_words.images_line(
            held.name,
            held.content.pictures,
            len(dataset.classes),
            tested=len(load_images(dataset, "test")),
            others=held.content.others,
        )
    )
    st.caption(model_words.class_order(dataset.classes))
    st.button("Forget these images", icon=":material/delete:", on_click=_forget, args=(images,))


def _forget(images: str) -> None:
    files.forget_images(images)
    state.set_images(None)
