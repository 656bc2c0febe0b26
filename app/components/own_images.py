"""Pictures of one's own to test the network on: a zip of a folder of them."""

from __future__ import annotations

from functools import partial

import streamlit as st

from app.components.uploader import uploader
from app.services import files, models
from app.state import uploads
from app.words import formats, model_words
from app.words.help_texts import HELP
from bcbp.data import load_images
from bcbp.errors import DataError
from bcbp.intake.model import LoadedModel


def own_images(model: LoadedModel) -> None:
    """Upload, then what is in the zip and which class is which; or why it cannot be used."""
    given = uploads.images()
    is_open = given is not None or uploads.refusal(uploads.PICTURES) is not None
    with st.expander(model_words.OWN_IMAGES, icon=":material/photo_library:", expanded=is_open):
        if given is None:
            uploader(
                uploads.PICTURES,
                "Zip of a folder of pictures",
                partial(_take, model),
                reading=model_words.READING_IMAGES,
                note=model_words.IMAGES_NOTE,
                help=HELP["images_zip"],
            )
            return
        try:
            _given(model, given)
        except DataError as error:  # forgotten in another window
            uploads.set_images(None)
            st.error(formats.literal(str(error)), icon=":material/error:")


def _take(model: LoadedModel, name: str, content: memoryview) -> None:
    """Test on the pictures of the zip from now on, if they fit this model."""
    uploads.set_images(files.take_in_images(name, content, model.name))


def _given(model: LoadedModel, images: str) -> None:
    """What the zip held, and the numbers of its classes."""
    dataset = models.with_images(model.name, uploads.data()).dataset
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
    uploads.set_images(None)
