"""Runs queued runs one after the other, each in a worker process that outlives a crash of this one."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO

from bcbp import processes
from bcbp.files import read_json, write_json
from bcbp.jobs.kinds import Request
from bcbp.jobs.lock import FileLock
from bcbp.jobs.store import (
    ALIVE_FILE,
    FAILED,
    INTERRUPTED,
    LOG_FILE,
    QUEUED,
    RUNNING,
    STATE_FILE,
    RunStore,
)
from bcbp.progress import Progress

_LOG = logging.getLogger(__name__)
_LOOK_SECONDS = 2.0  # how often an idle queue looks for runs that another process left behind
# How long `stop` waits for the last word, several times what the worker takes, and how often it looks.
_STOP_SECONDS, _STOP_LOOK_SECONDS = 2.0, 0.05
_SHUT_DOWN = "The server was shut down before the run ended. Its results are kept; start it again for all."


def worker_command(folder: Path) -> list[str]:
    """The command line of the worker of the run in `folder`."""
    return [sys.executable, "-m", "bcbp.jobs.worker", str(folder)]


class JobQueue:
    """One dispatcher thread over one store. A lock on the device keeps workers of several queues apart."""

    def __init__(self, store: RunStore, *, command: Callable[[Path], list[str]] = worker_command) -> None:
        self._store, self._command = store, command
        self._wake, self._closed = threading.Event(), threading.Event()
        self._guard = threading.Lock()
        self._worker: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._dispatch, name="bcbp-queue", daemon=True)
        self._thread.start()

    def submit(self, request: Request) -> str:
        """Queue a run; gives its id. Raises StoreError."""
        run_id = self._store.create(request)
        self._wake.set()
        return run_id

    def stop(self, run_id: str) -> None:
        """Stop a queued or running run and wait for its last word; what it has finished is kept.

        Raises RunNotFound.
        """
        self._store.ask_to_stop(run_id)
        deadline = time.monotonic() + _STOP_SECONDS
        while self._store.read(run_id).active and time.monotonic() < deadline:
            time.sleep(_STOP_LOOK_SECONDS)

    def position(self, run_id: str) -> int:
        """Queued runs that come before this one: 0 when it runs, or is next. Raises RunNotFound."""
        view = self._store.read(run_id)
        if view.state != QUEUED:
            return 0
        key = (view.created, view.id)
        return sum(run.state == QUEUED and (run.created, run.id) < key for run in self._store.list())

    def close(self) -> None:
        """Dispatch nothing more and end the worker: its run is interrupted, those that wait go on waiting."""
        with self._guard:
            self._closed.set()
            if self._worker is not None:
                processes.end(self._worker)
        self._wake.set()
        self._thread.join()

    def _dispatch(self) -> None:
        while not self._closed.is_set():
            self._wake.clear()
            try:
                waiting = self._next()
                if waiting is not None:
                    self._work(waiting)
                    continue
            except Exception:  # without its thread the queue would leave every later run waiting
                _LOG.exception("The queue could not start a run; it looks again in %g s", _LOOK_SECONDS)
            self._wake.wait(_LOOK_SECONDS)

    def _next(self) -> str | None:
        """The oldest queued run that no worker has taken."""
        queued = [run.id for run in reversed(self._store.list()) if run.state == QUEUED]
        return next((run_id for run_id in queued if not self._store.has_worker(run_id)), None)

    def _work(self, run_id: str) -> None:
        """Start the worker and wait for its end; a run that it leaves without a last word gets one."""
        folder = self._store.folder(run_id)
        try:
            with (folder / LOG_FILE).open("ab") as log:
                worker = self._start(folder, log)
        except FileNotFoundError:
            if folder.exists():  # the program is missing
                raise
            return  # deleted while it waited
        if worker is None:
            return
        worker.wait()
        if self._closed.is_set():
            _record_end(folder, instead_of=RUNNING, state=INTERRUPTED, error=_SHUT_DOWN)
        elif folder.exists() and self._store.read(run_id).state == QUEUED:
            _record_end(folder, instead_of=QUEUED, state=FAILED, error=_failed_start(folder))

    def _start(self, folder: Path, log: IO[bytes]) -> subprocess.Popen[bytes] | None:
        """The worker of the run in `folder`; none once the queue is closed."""
        with self._guard:
            if self._closed.is_set():
                return None
            self._worker = processes.start(
                self._command(folder), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
            return self._worker


def _failed_start(folder: Path) -> str:
    lines = (folder / LOG_FILE).read_text(errors="replace").strip().splitlines()
    cause = lines[-1] if lines else "it left no message"
    return f"The worker process could not start: {cause}"


def _record_end(folder: Path, *, instead_of: str, state: str, error: str) -> None:
    """Say so in place of the worker, under its lock: another queue's worker may have the run, or had it."""
    with suppress(TimeoutError, FileNotFoundError), FileLock(folder / ALIVE_FILE):
        written = read_json(folder / STATE_FILE)
        if (written["state"] if written else QUEUED) == instead_of:
            progress = written["progress"] if written else Progress().to_json()
            write_json(
                folder / STATE_FILE, {"state": state, "pid": None, "progress": progress, "error": error}
            )
