"""The process that carries out one run: `python -m bcbp.jobs.worker RUN_FOLDER`.

It holds two locks, one that says it lives and one on the device, so that one run is timed at a time.
Everything it finishes is on disk before it goes on.
"""

from __future__ import annotations

import os
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bcbp.errors import BcbpError
from bcbp.files import is_disk_full, read_json, write_json
from bcbp.jobs.device import hold_device
from bcbp.jobs.kinds import DEFAULT, KINDS, Kind
from bcbp.jobs.lock import FileLock
from bcbp.jobs.store import (
    ALIVE_FILE,
    DONE,
    FAILED,
    QUEUED,
    REPORT_FILE,
    REQUEST_FILE,
    RUNNING,
    STATE_FILE,
    STOP_FILE,
    STOPPED,
)
from bcbp.progress import Progress

_LOOK_SECONDS = 0.1
# A run that has not obeyed Stop by itself after this long (a library call that takes seconds) is ended.
_GRACE_SECONDS = 0.4
_WRITE_SECONDS = 0.2  # at most this often is bare progress written
# Given up when the disk is full, so that there is room to say so.
_RESERVE_FILE, _RESERVE_BYTES = "reserve", 65_536
_DISK_FULL = "The disk is full: the results up to here are kept. Free some space and run again."


class RunRecord:
    """The files of one run as its worker writes them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ended = threading.Event()
        self._guard = threading.Lock()
        self._state, self._progress = QUEUED, Progress()
        self._written = 0.0

    def begin(self) -> None:
        (self.folder / _RESERVE_FILE).write_bytes(os.urandom(_RESERVE_BYTES))
        self._write(RUNNING, Progress(message="Starting"))

    def wait(self) -> None:
        self._write(QUEUED, Progress(message="Waiting for another measurement on this machine to end"))

    def on_event(self, progress: Progress, report: dict[str, Any] | None) -> None:
        """Keep what the run tells: a report at once, bare progress within _WRITE_SECONDS."""
        if report is not None:
            with self._guard:
                write_json(self.folder / REPORT_FILE, report)
        new_step = progress.stage != self._progress.stage
        if report is not None or new_step or time.monotonic() - self._written > _WRITE_SECONDS:
            self._write(RUNNING, progress)
        self._progress = progress

    def end(self, state: str, error: str | None = None) -> None:
        """The last word; nothing is written after it."""
        (self.folder / _RESERVE_FILE).unlink(missing_ok=True)
        self._write(state, self._progress, error)
        self.ended.set()

    def stop_asked(self) -> bool:
        return (self.folder / STOP_FILE).exists()

    def _write(self, state: str, progress: Progress, error: str | None = None) -> None:
        with self._guard:
            if self.ended.is_set():
                return
            self._state, self._written = state, time.monotonic()
            record = {"state": state, "pid": os.getpid(), "progress": progress.to_json(), "error": error}
            write_json(self.folder / STATE_FILE, record)


def work(folder: Path, *, kinds: Mapping[str, Kind] = KINDS) -> None:
    """Carry out the run in `folder`, unless it was deleted, taken, done or stopped before."""
    if not folder.is_dir():
        return
    with ExitStack() as held:
        try:
            held.enter_context(FileLock(folder / ALIVE_FILE))
        except TimeoutError:  # another worker has the run
            return
        already = read_json(folder / STATE_FILE)
        if already is not None and already["state"] != QUEUED:
            return
        record = RunRecord(folder)
        with hold_device(folder.parent.parent, on_wait=record.wait, give_up=record.stop_asked):
            _run(record, kinds)


def _run(record: RunRecord, kinds: Mapping[str, Kind]) -> None:
    """Carry it out as its kind says, and turn every way it can end into a state."""
    if record.stop_asked():
        record.end(STOPPED)
        return
    threading.Thread(target=_enforce_stop, args=(record,), daemon=True).start()
    try:
        record.begin()
        data = read_json(record.folder / REQUEST_FILE) or {}
        kind = kinds[data.get("kind", DEFAULT)]
        request = kind.read(data["request"])
        kind.run(request, folder=record.folder, on_event=record.on_event, should_stop=record.stop_asked)
    except BcbpError as error:
        record.end(FAILED, str(error))
    except OSError as error:
        traceback.print_exc()
        record.end(FAILED, _DISK_FULL if is_disk_full(error) else _unexpected(error))
    except Exception as error:  # the edge of the process: a bug of ours must not look like a lost worker
        traceback.print_exc()
        record.end(FAILED, _unexpected(error))
    else:
        record.end(STOPPED if record.stop_asked() else DONE)


def _unexpected(error: Exception) -> str:
    first = (str(error).strip().splitlines() or [""])[0]
    return f"Unexpected {type(error).__name__}: {first}. The run's log has the details."


def _enforce_stop(record: RunRecord) -> None:
    """End the process when the run does not obey Stop; its timing process ends with it."""
    while not record.ended.wait(_LOOK_SECONDS):
        if record.stop_asked() and not record.ended.wait(_GRACE_SECONDS):
            record.end(STOPPED)
            os._exit(0)


if __name__ == "__main__":
    work(Path(sys.argv[1]))
