"""One file from whoever is there: taken in, or refused with the reason beside it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import streamlit as st

from app.state import uploads
from app.words import formats
from bcbp.errors import BcbpError
from bcbp.intake.limits import FILE_BYTES


def uploader(
    kind: str,
    label: str,
    take: Callable[[str, memoryview], None],
    *,
    reading: str,
    note: str,
    types: str | Sequence[str] | None = None,
    help: str | None = None,
) -> None:
    """`take` gets a file's name and content, and what it raises is said; then the page runs anew.

    `kind` is out of `uploads`. Without `types` files of any name come here: were it the browser that refuses
    one, an older refusal would stay.
    """
    file = st.file_uploader(
        label,
        type=types,
        max_upload_size=FILE_BYTES >> 20,
        key=f"{kind}_file_{uploads.uploader_version()}",
        help=help,
    )
    if refused := uploads.refusal(kind):
        st.error(formats.literal(refused), icon=":material/error:")
    st.caption(note)
    if file is None:
        return
    why = None
    try:
        with st.spinner(reading):
            take(file.name, file.getbuffer())
    except BcbpError as error:
        why = f"{file.name}: {error}"
    uploads.refuse(kind, why)
    st.rerun()
