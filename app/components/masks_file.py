"""Masks out of a file in place of the settings: dropped in, said on every page, and the way back."""

from __future__ import annotations

import streamlit as st

from app import state
from app.services import files
from app.titles import METHOD_TITLES
from app.words import formats, model_words, plan_words
from app.words.help_texts import HELP
from bcbp.errors import BcbpError
from bcbp.intake.limits import FILE_BYTES
from bcbp.spec import PruneSpec


def masks_in_use() -> PruneSpec | None:
    """What the file of masks in use was made by; at first that of the link, which can name it in vain."""
    asked = state.asked_masks()
    if asked is not None:
        try:
            state.use_masks(files.masks_spec(state.chosen_model(), asked))
        except BcbpError:
            state.note_in_vain(state.MASKS, asked, plan_words.THE_SETTINGS)
    return state.masks()


def masks_line(masks: PruneSpec) -> None:
    """Whose masks these are, the way back, and the end of the file."""
    name, title = files.masks_name(masks.masks), METHOD_TITLES[masks.pattern]
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(plan_words.masks_from(name, title), width="stretch", help=HELP["masks_file"])
        st.button(
            plan_words.USE_SETTINGS, icon=":material/undo:", key="use_settings", on_click=state.use_settings
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
    state.use_settings()


def masks_uploader() -> None:
    """Takes a file of masks in and has it be the plan, or says why not."""
    refused = state.masks_refusal()
    label = plan_words.ANOTHER_MASKS_FILE if state.masks() else plan_words.MASKS_FILE
    with st.popover(label, icon=":material/upload_file:", help=HELP["masks_file"]):
        file = st.file_uploader(
            "masks.safetensors of an export",
            type="safetensors",
            max_upload_size=FILE_BYTES >> 20,
            key=f"masks_file_{state.uploader_version()}",
        )
        if refused:
            st.error(formats.literal(refused), icon=":material/error:")
        st.caption(model_words.UPLOAD_NOTE)
    if file is None:
        return
    try:
        with st.spinner(model_words.READING):
            spec = files.take_in_masks(state.scope().model, file.name, file.getbuffer())
    except BcbpError as error:
        state.refuse_masks(f"{file.name}: {error}")
    else:
        state.refuse_masks(None)
        state.use_masks(spec)
        state.show_method(spec.pattern)
    st.rerun()
