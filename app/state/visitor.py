"""Who has this session."""

from __future__ import annotations

import secrets

import streamlit as st

from app.state import keys


def token() -> str:
    """A secret of this session, gone with it."""
    return st.session_state.setdefault(keys.TOKEN, secrets.token_urlsafe(32))
