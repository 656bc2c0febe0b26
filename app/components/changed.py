"""Which answers pruning changed: how many, of which classes, and the images themselves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import streamlit as st
from torch import Tensor

from app.findings import Finding
from app.services import results
from app.titles import METHOD_TITLES
from app.words import compare_words
from app.words.help_texts import HELP
from bcbp.changes import GAINED, KINDS, LOST, STILL_WRONG, Changes
from bcbp.errors import DataError, ModelError, NotYours
from bcbp.jobs import RunView
from bcbp.request import CompareRequest

PAGE = 24  # images at once
WIDTH = 112  # pixels: three to a row on a phone
_MOVES = 12


def changed(run: RunView[CompareRequest], row: Finding, *, key: str) -> None:
    """Everything about one row against dense; the reason where its answers are not there."""
    st.subheader(compare_words.CHANGED, help=HELP["changed"])
    if row.paired is None:
        st.caption(compare_words.NO_ANSWERS)
        return
    try:
        found = results.changes(run, row.key)
    except DataError as error:
        st.caption(str(error))
        return
    st.markdown(compare_words.changed(row.title, len(found.labels), *(found.count(kind) for kind in KINDS)))
    classes, moves = st.columns(2)
    with classes:
        _table(by_class(found), compare_words.BY_CLASS)
    with moves:
        _table(most_frequent(found, row.title), compare_words.MOVES)
    _pictures(run, found, METHOD_TITLES.get(row.method, row.method), key=key)


def by_class(found: Changes) -> pd.DataFrame:
    """A line a class, those with the most changes first."""
    rows = sorted(found.by_class(), key=lambda one: -(one.lost + one.gained + one.still_wrong))
    return pd.DataFrame(
        [
            {
                "Class": one.name,
                "Images": one.images,
                compare_words.KIND_TITLES[LOST]: one.lost,
                compare_words.KIND_TITLES[GAINED]: one.gained,
                "Net": one.gained - one.lost,
                compare_words.KIND_TITLES[STILL_WRONG]: one.still_wrong,
            }
            for one in rows
        ]
    )


def most_frequent(found: Changes, title: str) -> pd.DataFrame:
    """Dense's answer → the pruned network's, the most frequent first."""
    return pd.DataFrame(
        [
            {
                "Dense": one.before,
                title: one.after,
                "Images": one.count,
                compare_words.KIND_TITLES[LOST]: one.lost,
                compare_words.KIND_TITLES[GAINED]: one.gained,
            }
            for one in found.moves(_MOVES)
        ]
    )


def _table(lines: pd.DataFrame, title: str) -> None:
    st.caption(title)
    st.dataframe(lines, hide_index=True, height=38 + 35 * min(len(lines), 10), alt=title)


def _pictures(run: RunView[CompareRequest], found: Changes, title: str, *, key: str) -> None:
    """A page of images of one kind and class."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        kind = st.segmented_control(
            "Images",
            KINDS,
            default=LOST,
            format_func=lambda name: compare_words.kind_label(name, found.count(name)),
            key=f"{key}_kind",
            required=True,
        )
        label = st.selectbox(
            "Of class",
            (None, *range(len(found.classes))),
            format_func=lambda at: compare_words.EVERY_CLASS if at is None else found.classes[at],
            key=f"{key}_class",
            width=240,
        )
    chosen = found.chosen(kind, label)
    if not len(chosen):
        st.caption(compare_words.NO_IMAGES_OF_KIND)
        return
    pages = -(-len(chosen) // PAGE)
    page = st.pagination(pages, key=f"{key}_page_{kind}_{label}") if pages > 1 else 1
    first, last = (page - 1) * PAGE, min(page * PAGE, len(chosen))
    try:
        images = results.tested_images(run).pixels(chosen[first:last])
    except (DataError, ModelError, NotYours) as error:
        st.info(str(error), icon=":material/hide_image:")
        return
    _grid(images, found, chosen[first:last].tolist(), title)
    st.caption(compare_words.shown(first + 1, last, len(chosen)))


def _grid(images: Tensor, found: Changes, indices: Sequence[int], title: str) -> None:
    """`images` uint8 [n, C, H, W] are those at `indices`."""
    with st.container(horizontal=True, gap="xsmall"):
        for at, pixels in zip(indices, images, strict=True):
            label, before, after = (
                found.classes[answers[at]] for answers in (found.labels, found.before, found.after)
            )
            st.image(
                enlarged(pixels),
                caption=compare_words.picture(label, before, after, title),
                alt=f"An image of class {label}",
                width=WIDTH,
                output_format="PNG",
            )


def enlarged(pixels: Tensor) -> np.ndarray:
    """uint8 [C, H, W] as [H, W] or [H, W, C] with every pixel a square, so that small images stay sharp."""
    array = pixels.permute(1, 2, 0).numpy()
    times = max(1, WIDTH // max(array.shape[:2]))
    grown = array.repeat(times, axis=0).repeat(times, axis=1)
    return grown[..., 0] if grown.shape[-1] == 1 else grown
