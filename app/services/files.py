"""Files that people bring: weights, masks and pictures, taken in, looked at and forgotten."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePath
from tempfile import TemporaryDirectory
from typing import TypeVar

import streamlit as st

from app.services import models, owners
from bcbp.errors import BcbpError, DataError, ModelError
from bcbp.intake.architectures import check_model
from bcbp.intake.inference import Match, ranked
from bcbp.intake.uploads import Upload, UploadStore, content_id, reference_of
from bcbp.mask_store import MaskStore
from bcbp.picture_store import Pictures, PictureStore
from bcbp.spec import PruneSpec

Checked = TypeVar("Checked")


def take_in(name: str, content: bytes | memoryview) -> str:
    """Read and keep an uploaded file; gives its id. Raises ModelError."""
    return _take_in(UploadStore(), owners.UPLOADS, name, content, str)


def take_in_masks(model_name: str, name: str, content: bytes | memoryview) -> PruneSpec:
    """Read and keep a file of masks of a model; gives its spec. Raises ModelError, SpecError."""
    return _take_in(MaskStore(), owners.MASKS, name, content, partial(masks_spec, model_name))


def take_in_images(name: str, content: bytes | memoryview, model_name: str) -> str:
    """Check, unpack and keep an uploaded zip of pictures for a model; gives its id. Raises DataError."""
    return _take_in(PictureStore(), owners.IMAGES, name, content, partial(_check_images, model_name))


def _take_in(
    store: UploadStore | PictureStore,
    kind: str,
    name: str,
    content: bytes | memoryview,
    check: Callable[[str], Checked],
) -> Checked:
    """What `check` gives for the id of an uploaded file; what it refuses is kept only if it was before."""
    with _as_file(name, content) as path:
        known = content_id(path)
        was_there = _holds(store, known)
        was_mine = was_there and owners.is_mine(kind, known)
        store.take_in(path)
    owners.keep(kind, known)
    try:
        return check(known)
    except BcbpError:
        if not was_mine and owners.drop(kind, known) and not was_there:
            store.forget(known)
        raise


@contextmanager
def _as_file(name: str, content: bytes | memoryview) -> Iterator[Path]:
    """An uploaded file on disk, under its own name, for as long as it is read."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / (PurePath(name).name or "upload")
        path.write_bytes(content)
        yield path


def _holds(store: UploadStore | PictureStore, thing: str) -> bool:
    """Whether a store has a thing of that id."""
    try:
        store.read(thing)
    except BcbpError:
        return False
    return True


def _check_images(model_name: str, images_id: str) -> str:
    """The id of stored images that fit a model. Raises DataError."""
    found = images(images_id)
    try:
        models.with_images(model_name, found.reference)
    except DataError as error:  # no path of this machine is a visitor's concern
        raise DataError(str(error).replace(str(found.folder), "the zip")) from error
    return images_id


def is_stored(model_name: str) -> bool:
    """Whether a model's name refers to a file that is on this machine, and of who is there."""
    try:
        check_model(model_name)
        reference = reference_of(model_name)
    except ModelError:
        return False
    if reference is None or reference.upload not in UploadStore().list():
        return False
    return owners.is_mine(owners.UPLOADS, reference.upload)


@st.cache_data(max_entries=4, show_spinner=False)
def upload(upload_id: str) -> Upload:
    """A stored file. Raises ModelError."""
    return UploadStore().read(upload_id)


@st.cache_data(max_entries=4, show_spinner=False)
def matches(upload_id: str) -> list[Match]:
    """How a stored file fits every known architecture, the best first."""
    return ranked(upload(upload_id).reading.shapes)


def masks_spec(model_name: str, masks: str) -> PruneSpec:
    """What a stored file of masks was made by, with its id. Raises ModelError, SpecError, NotYours."""
    # First the store, then the owner: whatever a link says is no id before.
    found = MaskStore().plan(masks, models.model(model_name)).spec
    owners.check(owners.MASKS, masks)
    return found


def masks_name(masks: str) -> str:
    """The name under which a file of masks came; its id where the file is gone, which its plan then says."""
    try:
        return MaskStore().read(masks).name
    except ModelError:
        return masks


def images(images_id: str) -> Pictures:
    """What is known of stored images. Raises DataError."""
    return PictureStore().read(images_id)


def forget_upload(upload_id: str) -> None:
    """Delete a stored file, unless somebody else uploaded the same. Raises NotYours."""
    if owners.drop(owners.UPLOADS, upload_id):
        UploadStore().forget(upload_id)


def forget_masks(masks: str) -> None:
    """Delete a file of masks, unless somebody else brought the same. Raises NotYours."""
    if owners.drop(owners.MASKS, masks):
        MaskStore().forget(masks)


def forget_images(images: str) -> None:
    """Delete stored images, unless somebody else uploaded the same. Raises NotYours."""
    if owners.drop(owners.IMAGES, images):
        PictureStore().forget(images)
