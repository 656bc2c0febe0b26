"""Who may use, see and delete what, on a server that several people share."""

from __future__ import annotations

from app import people
from app.services import stores
from app.words import frame_words
from bcbp.device_request import DeviceRequest
from bcbp.errors import DataError, NotYours
from bcbp.export_request import ExportRequest
from bcbp.intake.uploads import reference_of
from bcbp.jobs.owners import Owners
from bcbp.picture_store import PictureStore, stored_id
from bcbp.request import CompareRequest
from bcbp.sensitivity_request import SensitivityRequest

Request = CompareRequest | DeviceRequest | SensitivityRequest | ExportRequest
# Things that can belong to somebody.
RUNS, IMPORTS, UPLOADS, MASKS, IMAGES = "runs", "imports", "uploads", "masks", "images"


def is_mine(kind: str, thing: str) -> bool:
    """Whether who is there may stop, change and delete a thing, and see it listed."""
    who = people.person()
    return who is None or _owners(kind).has(thing, who)


def keep(kind: str, thing: str) -> None:
    """Have a thing belong to who is there, where things belong to somebody."""
    if (who := people.person()) is not None:
        _owners(kind).add(thing, who)


def check(kind: str, thing: str) -> None:
    """Raises NotYours for a thing of somebody else."""
    if not is_mine(kind, thing):
        raise NotYours(frame_words.NOT_YOURS)


def drop(kind: str, thing: str) -> bool:
    """Take a thing from who is there; whether it can be deleted now. Raises NotYours."""
    check(kind, thing)
    who = people.person()
    return who is None or _owners(kind).drop(thing, who)


def has_images(images: str) -> bool:
    """Whether stored images of that id are on this machine, and of who is there."""
    try:
        PictureStore().read(images)
    except DataError:
        return False
    return is_mine(IMAGES, images)


def may_use(request: Request) -> bool:
    """Whether a model, images and masks by the names of a request are of who is there, or everybody's.

    Whoever wrote a request that is in the store, such as that of an imported run, may have named anything.
    """
    if not people.is_shared():
        return True
    reference, data = reference_of(request.model), getattr(request, "data", None)
    masks = request.spec.masks if isinstance(request, CompareRequest | ExportRequest) else ""
    return (
        (reference is None or is_mine(UPLOADS, reference.upload))
        and (not masks or is_mine(MASKS, masks))
        and (not data or has_images(stored_id(data) or ""))
    )


def check_may_use(request: Request) -> None:
    """Raises NotYours for a request that names what somebody else brought."""
    if not may_use(request):
        raise NotYours(frame_words.NOT_YOUR_FILES)


def _owners(kind: str) -> Owners:
    return Owners(stores.runs().root, kind)
