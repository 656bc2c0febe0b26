"""Background jobs: queued, stopped, listed, named, deleted, and carried from one dashboard to another."""

from __future__ import annotations

from typing import Any, TypeVar

import streamlit as st

from app.html_report import page
from app.services import owners, stores
from app.services.owners import Request
from app.state import selection
from bcbp.export_request import ExportRequest
from bcbp.jobs import JobQueue, RunNotFound, RunView, archive
from bcbp.request import CompareRequest

Asked = TypeVar("Asked", bound=Request)


@st.cache_resource(show_spinner=False)
def queue() -> JobQueue:
    return JobQueue(stores.runs())


def submit(request: Request) -> str:
    """Queue a comparison, a measurement, a scan or an export; gives its run id. Raises NotYours."""
    owners.check_may_use(request)
    run_id = queue().submit(request)
    owners.keep(owners.RUNS, run_id)
    return run_id


def stop(run_id: str) -> None:
    """Stop a run; what it has finished is kept. Raises RunNotFound, NotYours."""
    owners.check(owners.RUNS, run_id)
    queue().stop(run_id)


def listed() -> tuple[RunView[Any], ...]:
    """The runs of who is there, newest first, and comparisons of the link, where they may be read."""
    linked = selection.linked_runs()
    return tuple(
        run
        for run in stores.runs().list()
        if owners.is_mine(owners.RUNS, run.id)
        or (isinstance(run.request, CompareRequest) and run.id in linked and owners.may_use(run.request))
    )


def newest(kind: type[Asked]) -> RunView[Asked] | None:
    """The newest run with requests of that type by who is there, whichever session started it."""
    return next((run for run in stores.runs().of_kind(kind) if owners.is_mine(owners.RUNS, run.id)), None)


def exports() -> tuple[RunView[ExportRequest], ...]:
    """All exports on this machine of what who is there may use, newest first."""
    return tuple(run for run in stores.runs().of_kind(ExportRequest) if owners.may_use(run.request))


def comparison(run_id: str) -> RunView[CompareRequest]:
    """One comparison as it stands now. Raises RunNotFound."""
    found = stores.runs().read(run_id)
    if not isinstance(found.request, CompareRequest):
        raise RunNotFound(f"Expected the id of a comparison; {run_id} is something else.")
    if not (owners.is_mine(owners.RUNS, run_id) or owners.may_use(found.request)):
        raise RunNotFound(
            f"Run {run_id} is about a network, masks or images that somebody else uploaded, or that lie on "
            "the server."
        )
    return found


def rename(run_id: str, name: str) -> None:
    """Have people's name for a run. Raises RunNotFound, StoreError, NotYours."""
    owners.check(owners.RUNS, run_id)
    stores.runs().rename(run_id, name)


def delete(run_id: str) -> None:
    """Remove a run that has ended, for good. Raises RunNotFound, StoreError, NotYours."""
    owners.check(owners.RUNS, run_id)
    stores.runs().delete(run_id)
    owners.drop(owners.RUNS, run_id)


def pack(run_id: str) -> bytes:
    """A comparison as one file. Raises RunNotFound, StoreError."""
    return archive.pack(stores.runs(), comparison(run_id).id)


def take_in(content: bytes) -> str:
    """Keep what `pack` wrote, if it can be shown; gives its id.

    Raises StoreError, SpecError, ModelError.
    """
    packed = archive.unpack(content)
    page(packed.report)
    run_id = archive.take_in(stores.runs(), packed)
    owners.keep(owners.RUNS, run_id)
    return run_id
