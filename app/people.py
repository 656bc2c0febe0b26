"""Who is there: one person to whom everything belongs, or several who share the server."""

from __future__ import annotations

import os
from importlib.util import find_spec

import streamlit as st

from app.browser_cookie import NAME, is_token
from app.state import visitor
from app.words import frame_words

SHARED = "BCBP_SHARED"


def login_is_on() -> bool:
    """Whether the secrets name an identity provider; Streamlit adds this key then."""
    return "is_logged_in" in st.user


def is_set_shared() -> bool:
    """Whether the setting says that several people share the server."""
    return os.environ.get(SHARED, "") not in ("", "0")


def is_shared() -> bool:
    """Whether runs, uploads and imports belong to whoever made them."""
    return is_set_shared() or login_is_on()


def person() -> str | None:
    """The owner's name of who is there; None where everything belongs to the one who is.

    With a login it is who logged in, else who has this browser. A browser that keeps no cookie is somebody
    else after a reload.
    """
    from bcbp.jobs.owners import owner_of  # with PyTorch, which the page that asks for a login does without

    if not is_shared():
        return None
    if login_is_on():
        return owner_of("user", str(st.user["iss"]), str(st.user["sub"]))
    token = st.context.cookies.get(NAME, "")
    return owner_of("browser", token if is_token(token) else visitor.token())


def must_log_in() -> bool:
    """Whether a login has to come before everything else."""
    return login_is_on() and not st.user.is_logged_in


def login_page() -> None:
    """Ask to log in."""
    st.title(frame_words.QUESTION, anchor=False)
    st.markdown(frame_words.LOG_IN_FIRST)
    if find_spec("authlib") is None:
        st.error(frame_words.NO_AUTHLIB, icon=":material/error:")
        return
    st.button(frame_words.LOG_IN, type="primary", icon=":material/login:", on_click=st.login)
