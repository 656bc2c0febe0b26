"""What one run of the script leaves for the next to say or to do, once."""

from __future__ import annotations

import streamlit as st

from app.state import keys
from app.words import frame_words


def note_in_vain(key: str, asked: str, used: str) -> None:
    """Say that the link asks for what is not here, and what is shown in its place."""
    st.session_state.setdefault(keys.NOTICES, []).append(frame_words.bad_link(key, asked, used))


def notices() -> tuple[str, ...]:
    """What the person should know about the link; stays until dismissed."""
    return tuple(st.session_state.get(keys.NOTICES, ()))


def dismiss_notices() -> None:
    st.session_state[keys.NOTICES] = []


def say_next(words: str) -> None:
    """Have the page, shown anew, say once what was done."""
    st.session_state[keys.SAID] = words


def said() -> str | None:
    """What is to be said now; it is said once."""
    return st.session_state.pop(keys.SAID, None)


def ask_for_run() -> None:
    """Have the Run page start at once."""
    st.session_state[keys.START] = True


def take_request() -> bool:
    """Whether a start was asked for; asks are answered once."""
    return st.session_state.pop(keys.START, False)
