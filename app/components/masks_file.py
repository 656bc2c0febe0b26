"""Masks out of a file in place of the settings: dropped in, said on every page, and the way back."""

from __future__ import annotations

import streamlit as st

from app.components.uploader import uploader
from app.services import files
from app.state import keys, messages, settings, uploads
from app.titles import METHOD_TITLES
from app.words import model_words, plan_words
from app.words.help_texts import HELP
from bcbp.errors import BcbpError
from bcbp.spec import PruneSpec


def masks_in_use() -> PruneSpec | None:
    """What the file of masks in use was made by; at first that of the link, which can name it in vain."""
    asked = settings.asked_masks()
    if asked is not None:
        try:
            settings.use_masks(files.masks_spec(settings.chosen_model(), asked))
        except BcbpError:
            messages.note_in_vain(keys.MASKS, asked, plan_words.THE_SETTINGS)
    return settings.masks()


def masks_line(masks: PruneSpec) -> None:
    """Whose masks these are, the way back, and the end of the file."""
    name, title = files.masks_name(masks.masks), METHOD_TITLES[masks.pattern]
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(plan_words.masks_from(name, title), width="stretch", help=HELP["masks_file"])
        st.button(
            plan_words.USE_SETTINGS,
            icon=":material/undo:",
            key="use_settings",
            on_click=settings.use_settings,
        )
        st.button(
            plan_words.FORGET_MASKS,
            icon=":material/delete:",
            key="forget_masks",
            on_click=_forget,
            args=(masks.masks,),
        )


def _forget(masks: str) -> None:
    """Delete the file, and go on with the settings."""
    files.forget_masks(masks)
    settings.use_settings()


def masks_uploader() -> None:
    """Takes a file of masks in and has it be the plan, or says why not."""
    label = plan_words.ANOTHER_MASKS_FILE if settings.masks() else plan_words.MASKS_FILE
    with st.popover(label, icon=":material/upload_file:", help=HELP["masks_file"]):
        uploader(
            uploads.MASKS,
            "masks.safetensors of an export",
            _take,
            reading=model_words.READING,
            note=model_words.UPLOAD_NOTE,
            types="safetensors",
        )


def _take(name: str, content: memoryview) -> None:
    spec = files.take_in_masks(settings.chosen_model(), name, content)
    settings.use_masks(spec)
    settings.show_method(spec.pattern)
