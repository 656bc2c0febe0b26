"""Files that people bring: those in use, those looked at, and why one is not taken."""

from __future__ import annotations

import streamlit as st

from app.state import keys, settings
from bcbp.picture_store import PREFIX

NETWORK, MASKS, PICTURES = "model", "masks", "images"  # kinds of files


def upload() -> str | None:
    """The id of the file that was uploaded last, while it is looked at."""
    return st.session_state.get(keys.UPLOAD)


def look_at(upload: str | None) -> None:
    """Look at this file from now on; None for none."""
    st.session_state[keys.UPLOAD] = upload


def images() -> str | None:
    """The id of the stored images that the scope's model is tested on, if they were given."""
    return st.session_state[keys.OWN_IMAGES].get(settings.chosen_model())


def set_images(images: str | None) -> None:
    """Test the scope's model on these from now on; None forgets that any were given."""
    st.session_state[keys.OWN_IMAGES][settings.chosen_model()] = images


def data() -> str | None:
    """What requests are to call their images: those given for the model, else the folder named on Run."""
    if (given := images()) is not None:
        return PREFIX + given
    return st.session_state.get(keys.DATA, "").strip() or None


def uploader_version() -> int:
    """Part of the uploader's key: a new number empties it."""
    return st.session_state.setdefault(keys.UPLOADER, 0)


def empty_uploader() -> None:
    st.session_state[keys.UPLOADER] = uploader_version() + 1


def refusal(kind: str) -> str | None:
    """Why the file of that kind that came last is not taken, while the model is in scope that was then."""
    model, why = st.session_state.get(_refused(kind), ("", None))
    return why if model == settings.chosen_model() else None


def refuse(kind: str, why: str | None) -> None:
    """Say why a file is not taken, or None for one that is; the uploader is emptied."""
    st.session_state[_refused(kind)] = settings.chosen_model(), why
    empty_uploader()


def _refused(kind: str) -> str:
    return f"{keys.REFUSED}_{kind}"
