"""The frame around every page: what this is, the scope bar, notices, and the only broad `except`."""

from __future__ import annotations

import logging
from pathlib import Path

import streamlit as st

from app import doors, people
from app.state import messages
from app.words import frame_words
from app.words.help_texts import PAGES

_FOLDER = Path(__file__).parent
_LOG = logging.getLogger(__name__)


ICONS = {
    "model": "deployed_code",
    "tune": "tune",
    "masks": "grid_on",
    "run": "play_circle",
    "compare": "balance",
    "device": "memory",
    "idea": "lightbulb",
}
START = "model"
OUT_OF_SCOPE = ("idea",)  # always about the sample


def pages() -> dict[str, st.Page]:
    """One file a page, in the order and the words of the door that was taken."""
    door = doors.current()
    return {
        name: st.Page(
            f"views/{name}.py",
            title=door.title_of(name),
            icon=f":material/{ICONS[name]}:",
            url_path="" if name == START else name,
            default=name == START,
        )
        for name in door.pages
    }


def frame() -> None:
    """One run of the script."""
    st.set_page_config(page_title=frame_words.PAGE_TITLE, page_icon=_FOLDER / "icon.png", layout="wide")
    every = pages()
    page = st.navigation(list(every.values()), position="hidden" if people.must_log_in() else "top")
    if people.must_log_in():
        people.login_page()
        return
    name = next(name for name, one in every.items() if one == page)
    st.logo(_FOLDER / "icon.png", size="large")
    if name in PAGES:
        st.caption(PAGES[name])
    with st.spinner(frame_words.LOADING):
        # PyTorch: seconds on a cold start, so not before the first words
        from app.controls.scope_bar import scope_bar
        from app.services import scope_choices
        from app.state import link, settings
    link.take(scope_choices.of_link(link.asked_model(), link.asked_images()))
    notices = st.container()
    if name in OUT_OF_SCOPE:
        settings.keep_scope()
    else:
        scope_bar(doors.current().labels)
    _guarded(page)
    with notices:
        _show_notices()


def _guarded(page: st.Page) -> None:
    """Run the page; whatever fails becomes one line, and the pages stay within reach."""
    from app import current
    from app.services import models
    from app.state import link, settings
    from bcbp.errors import BcbpError

    try:
        with st.spinner(frame_words.LOADING_MODEL):
            models.model(settings.scope().model)
        page.run()
        link.write(current.layer_names())
    except BcbpError as error:
        st.error(str(error), icon=":material/error:")
    except Exception:
        _LOG.exception("page %s failed", page.title)
        st.error(frame_words.UNEXPECTED, icon=":material/error:")


def _show_notices() -> None:
    if not messages.notices():
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.warning("\n\n".join(messages.notices()), icon=":material/link_off:")
        st.button("Dismiss", on_click=messages.dismiss_notices)


frame()
