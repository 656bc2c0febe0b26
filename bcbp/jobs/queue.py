"""Runs queued runs one after the other, each in a worker process that outlives this one."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from bcbp.files import read_json, write_json
from bcbp.jobs.kinds import Request
from bcbp.jobs.lock import FileLock
from bcbp.jobs.store import ALIVE_FILE, FAILED, LOG_FILE, QUEUED, STATE_FILE, RunStore
from bcbp.progress import Progress

ROOT = Path(__file__).resolve().parent.parent.parent
_LOG = logging.getLogger(__name__)
_LOOK_SECONDS = 2.0  # how often an idle queue looks for runs that another process left behind


def worker_command(folder: Path) -> list[str]:
    """The command line of the worker of the run in `folder`."""
    return [sys.executable, "-m", "bcbp.jobs.worker", str(folder)]


class JobQueue:
    """One dispatcher thread over one store. A lock on the device keeps workers of several queues apart."""

    def __init__(self, store: RunStore, *, command: Callable[[Path], list[str]] = worker_command) -> None:
        self._store, self._command = store, command
        self._wake, self._closed = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._dispatch, name="bcbp-queue", daemon=True)
        self._thread.start()

    def submit(self, request: Request) -> str:
        """Queue a run; gives its id. Raises StoreError."""
        run_id = self._store.create(request)
        self._wake.set()
        return run_id

    def stop(self, run_id: str) -> None:
        """Have a queued or running run stopped; what it has finished is kept. Raises RunNotFound."""
        self._store.ask_to_stop(run_id)

    def position(self, run_id: str) -> int:
        """Queued runs that come before this one: 0 when it runs, or is next. Raises RunNotFound."""
        view = self._store.read(run_id)
        if view.state != QUEUED:
            return 0
        key = (view.created, view.id)
        return sum(run.state == QUEUED and (run.created, run.id) < key for run in self._store.list())

    def close(self) -> None:
        """Dispatch nothing more; a running worker goes on."""
        self._closed.set()
        self._wake.set()

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
        """Start the worker and wait for its end; a run that it never took up has failed."""
        folder = self._store.folder(run_id)
        paths = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
        try:
            with (folder / LOG_FILE).open("ab") as log:
                subprocess.run(
                    self._command(folder),
                    check=False,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env={**os.environ, "PYTHONPATH": paths},
                    start_new_session=True,
                )
        except FileNotFoundError:
            if folder.exists():  # the program is missing
                raise
            return  # deleted while it waited
        if folder.exists() and self._store.read(run_id).state == QUEUED:
            _record_failed_start(folder)


def _record_failed_start(folder: Path) -> None:
    """Say so in place of the worker, under its lock: another queue's worker may have the run, or had it."""
    lines = (folder / LOG_FILE).read_text(errors="replace").strip().splitlines()
    cause = lines[-1] if lines else "it left no message"
    error = f"The worker process could not start: {cause}"
    record = {"state": FAILED, "pid": None, "progress": Progress().to_json(), "error": error}
    with suppress(TimeoutError), FileLock(folder / ALIVE_FILE):
        written = read_json(folder / STATE_FILE)
        if written is None or written["state"] == QUEUED:
            write_json(folder / STATE_FILE, record)
