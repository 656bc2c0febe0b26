"""The runs on disk: one folder each, readable while a worker writes, whole whatever happens to it."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Generic, TypeVar

from bcbp.errors import BcbpError
from bcbp.files import is_disk_full, read_json, replace_file, write_json
from bcbp.home import default_root
from bcbp.jobs.index import RunIndex
from bcbp.jobs.kinds import DEFAULT, KINDS, Request, kind_of
from bcbp.jobs.lock import is_held
from bcbp.progress import Progress

QUEUED, RUNNING, DONE, STOPPED, FAILED, INTERRUPTED = (
    "queued", "running", "done", "stopped", "failed", "interrupted",
)  # fmt: skip
ACTIVE, UNFINISHED = (QUEUED, RUNNING), (STOPPED, FAILED, INTERRUPTED)
ENDED = (DONE, *UNFINISHED)
REQUEST_FILE, STATE_FILE, REPORT_FILE, NAME_FILE = "request.json", "state.json", "report.json", "name.json"
STOP_FILE, ALIVE_FILE, LOG_FILE = "stop", "alive.lock", "log.txt"

R = TypeVar("R", bound=Request, covariant=True)

_RANDOM_BYTES = 16  # a link to a run opens it, so it must not be guessed
_ID = re.compile(r"\d{8}-\d{6}-(?:[0-9a-f]{32}|[0-9a-f]{6})")  # the short ones are of earlier versions
_CACHED_REPORTS = 64
_LONGEST_NAME = 80
_LOST = "The worker process was lost before the run ended (killed, or out of memory). Its results are kept."


class RunNotFound(BcbpError):
    """No run of that id in the store."""


class StoreError(BcbpError):
    """The store cannot do what was asked: no room, no permission, or the run is still active."""


@dataclass(frozen=True)
class RunView(Generic[R]):
    """One run as it stands now; `request` says by its type of what kind it is, `name` is what people call it,
    `imported` whether it ran elsewhere.

    `report` grows row by row while the run is active; it is read when it is first looked at, and then stays.
    Treat it as read-only.
    """

    id: str
    state: str
    created: str
    request: R
    progress: Progress
    error: str | None
    name: str = ""
    imported: bool = False
    load: Callable[[], dict[str, Any] | None] = field(default=lambda: None, repr=False, compare=False)

    @cached_property
    def report(self) -> dict[str, Any] | None:
        return self.load()

    @property
    def title(self) -> str:
        return self.name or self.request.title

    @property
    def active(self) -> bool:
        return self.state in ACTIVE


class RunStore:
    """Runs under `root`. Any number of stores, in any number of processes, may look at one root."""

    def __init__(self, root: Path | None = None) -> None:
        self.root = root or default_root()
        self._reports: dict[Path, tuple[tuple[int, int], dict[str, Any] | None]] = {}
        self._guard = threading.Lock()
        self._index = RunIndex(self.root)

    def create(
        self, request: Request, *, created: str | None = None, files: Mapping[str, bytes] | None = None
    ) -> str:
        """A new queued run; gives its id. Raises StoreError when it cannot be written.

        One that was `created` and has ended elsewhere comes with its `files`.
        """
        now = datetime.now(timezone.utc)
        run_id = f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(_RANDOM_BYTES)}"
        record = {
            "id": run_id,
            "created": created or now.isoformat(),
            "kind": kind_of(request),
            "request": request.to_json(),
            "imported": files is not None,
        }
        try:
            self.folder(run_id).mkdir(parents=True)
            for name, content in (files or {}).items():
                replace_file(self.folder(run_id) / name, content)
            write_json(self.folder(run_id) / REQUEST_FILE, record)  # the last: it makes the folder a run
        except OSError as error:
            shutil.rmtree(self.folder(run_id), ignore_errors=True)
            raise self._refusal(error) from error
        return run_id

    def list(self) -> tuple[RunView[Any], ...]:
        """Every readable run of whatever kind, newest first."""
        known, changes = self._index.known(), _changes(self.root)
        views, fresh = [], []
        for run_id, changed in changes.items():
            at, read = known.get(run_id, (None, None))
            view = self._view(run_id, read) if at == changed else None
            if view is None:
                view = self._view(run_id, read := _read(self.folder(run_id)))
                if read is not None and view is not None and not view.active:
                    fresh.append((run_id, changed, read))
            views.append(view)
        self._index.keep(fresh, gone=known.keys() - changes.keys())
        found = [view for view in views if view is not None]
        return tuple(sorted(found, key=lambda view: (view.created, view.id), reverse=True))

    def of_kind(self, kind: type[R]) -> tuple[RunView[R], ...]:
        """Every readable run with requests of that type, newest first."""
        return tuple(run for run in self.list() if isinstance(run.request, kind))

    def read(self, run_id: str) -> RunView[Any]:
        """One run as it stands now. Raises RunNotFound."""
        view = self._view(run_id, _read(self.folder(run_id))) if _ID.fullmatch(run_id) else None
        if view is None:
            raise RunNotFound(f"Expected the id of a stored run; got {run_id!r}. The history lists all runs.")
        return view

    def delete(self, run_id: str) -> None:
        """Remove a run that is not running, with all of its files. Raises RunNotFound, StoreError."""
        run = self.read(run_id)
        if run.state == RUNNING or is_held(self.folder(run_id) / ALIVE_FILE):
            raise StoreError(f"Run {run_id} is still running. Stop it first.")
        shutil.rmtree(self.folder(run_id), ignore_errors=True)
        files = KINDS[kind_of(run.request)].files(run.request)
        if files and all(other.request != run.request for other in self.list()):
            for name in files:
                _remove(self.root / name)

    def rename(self, run_id: str, name: str) -> None:
        """Have people's name for a run; an empty one takes it away. Raises RunNotFound, StoreError."""
        self.read(run_id)
        words = " ".join(name.split())
        if len(words) > _LONGEST_NAME or not words.isprintable():
            raise StoreError(f"Expected a name of at most {_LONGEST_NAME} printable characters.")
        try:
            write_json(self.folder(run_id) / NAME_FILE, {"name": words})
        except OSError as error:
            raise self._refusal(error) from error

    def ask_to_stop(self, run_id: str) -> None:
        """Leave word for the worker, which looks ten times a second. Raises RunNotFound."""
        if self.read(run_id).active:
            (self.folder(run_id) / STOP_FILE).touch()

    def has_worker(self, run_id: str) -> bool:
        """Whether a living process works on the run, or waits to."""
        return is_held(self.folder(run_id) / ALIVE_FILE)

    def folder(self, run_id: str) -> Path:
        return self.root / "runs" / run_id

    def _refusal(self, error: OSError) -> StoreError:
        cause = "the disk is full" if is_disk_full(error) else str(error.strerror)
        return StoreError(
            f"Expected to write into {self.root}, but {cause}. Free some space or set BCBP_HOME."
        )

    def _view(self, run_id: str, read: dict[str, Any] | None) -> RunView[Any] | None:
        """The view of what `_read` found; None for what is of another version, or edited."""
        if read is None:
            return None
        try:
            return RunView(
                id=run_id,
                state=read["state"],
                created=str(read["created"]),
                request=KINDS[read["kind"]].read(read["request"]),
                progress=Progress.from_json(read["progress"]),
                error=read["error"],
                name=str(read["name"]),
                imported=bool(read["imported"]),
                load=partial(self._report, self.folder(run_id) / REPORT_FILE),
            )
        except (KeyError, TypeError, ValueError):
            return None

    def _report(self, path: Path) -> dict[str, Any] | None:
        """The report on disk, parsed once per version of the file."""
        try:
            stat = path.stat()
        except OSError:
            return None
        version = (stat.st_mtime_ns, stat.st_size)
        with self._guard:
            cached = self._reports.get(path)
            if cached and cached[0] == version:
                return cached[1]
            report = read_json(path)
            while len(self._reports) >= _CACHED_REPORTS:
                self._reports.pop(next(iter(self._reports)))
            self._reports[path] = (version, report)
        return report


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _changes(root: Path) -> dict[str, int]:
    """Every run's folder with the time, in ns, at which a file in it was last made, replaced or removed."""
    found = {}
    with suppress(FileNotFoundError, NotADirectoryError), os.scandir(root / "runs") as entries:
        for entry in entries:
            with suppress(FileNotFoundError):  # deleted since
                if _ID.fullmatch(entry.name):
                    found[entry.name] = entry.stat().st_mtime_ns
    return found


def _read(folder: Path) -> dict[str, Any] | None:
    """What the small files of a run say, as JSON; None without a request or of another version."""
    record = read_json(folder / REQUEST_FILE)
    if record is None:
        return None
    try:
        state, progress, error = _read_state(folder)
        return {
            "created": record["created"],
            "kind": record.get("kind", DEFAULT),
            "request": record["request"],
            "state": state,
            "progress": progress.to_json(),
            "error": error,
            "name": (read_json(folder / NAME_FILE) or {}).get("name", ""),
            "imported": record.get("imported", False),
        }
    except (KeyError, TypeError, ValueError):
        return None


def _read_state(folder: Path) -> tuple[str, Progress, str | None]:
    """State, progress and error: what the worker wrote, corrected for a worker that is no longer there."""
    written = read_json(folder / STATE_FILE)
    alive = is_held(folder / ALIVE_FILE)
    if not alive:  # a worker that ended between the two looks has written its last word by now
        written = read_json(folder / STATE_FILE)
    state = written["state"] if written else QUEUED
    progress = Progress.from_json(written["progress"]) if written else Progress()
    error = written["error"] if written else None
    if state == QUEUED and not alive and (folder / STOP_FILE).exists():
        return STOPPED, progress, None
    if state == RUNNING and not alive:
        return INTERRUPTED, progress, _LOST
    return state, progress, error
