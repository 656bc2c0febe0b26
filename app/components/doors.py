"""The three doors, as cards."""

from __future__ import annotations

import streamlit as st

from app import doors
from app.controls import widgets
from app.state import settings
from app.words import idea_words


def three_doors() -> None:
    """Three cards; pressing one opens its first page."""
    st.subheader(idea_words.DOORS, anchor=False)
    for place, door in zip(st.columns(len(doors.DOORS), gap="small"), doors.DOORS.values(), strict=True):
        with place.container(border=True, height="stretch"):
            st.markdown(f"#### :material/{door.icon}: {door.title}")
            st.markdown(door.promise)
            if st.button(door.enter, key=f"door_{door.name}", on_click=_arrive, args=(door,)):
                widgets.go_to(door.pages[0])


def _arrive(door: doors.Door) -> None:
    doors.choose(door)
    if door.sample:
        settings.reset_scope()
