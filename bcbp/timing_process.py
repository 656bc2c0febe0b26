"""Starts the timing process, follows it, and ends it at once when asked to."""

from __future__ import annotations

import json
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from typing import IO, Any, Protocol

from bcbp import processes
from bcbp.errors import BcbpError
from kernels.measure import Stopped

COMMAND = (sys.executable, "-m", "bcbp.timing")
_LOOK_SECONDS = 0.1  # how often Stop is looked at


class Job(Protocol):
    """What the process is told to do, as one line of JSON."""

    def to_json(self) -> dict[str, Any]: ...


class TimingError(BcbpError):
    """The timing process ended without its results."""


def run_timing(
    job: Job,
    *,
    on_event: Callable[[dict[str, Any]], None],
    should_stop: Callable[[], bool],
    command: Sequence[str] = COMMAND,
) -> None:
    """Do `job` in a fresh process of `command` and hand on its events as they come.

    `command` is a module that serves such jobs: `bcbp.timing` for networks, `bcbp.layer_timing` for layers.

    Raises Stopped within about _LOOK_SECONDS of `should_stop`, TimingError when the process fails.
    """
    with tempfile.TemporaryFile("w+") as errors:
        process = _start(command, errors)
        try:
            _send(process, job)
            _follow(process, on_event, should_stop)
        finally:
            _end(process)
        if process.returncode != 0:
            raise TimingError(_cause(process.returncode, errors))


def _start(command: Sequence[str], errors: IO[str]) -> subprocess.Popen[str]:
    return processes.start(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True)


def _send(process: subprocess.Popen[str], job: Job) -> None:
    """The job as one line. Stdin stays open: its closing tells the process that we are gone."""
    assert process.stdin is not None
    try:
        process.stdin.write(json.dumps(job.to_json()) + "\n")
        process.stdin.flush()
    except BrokenPipeError:
        return  # it died at once; what it wrote to stderr says why


def _follow(
    process: subprocess.Popen[str],
    on_event: Callable[[dict[str, Any]], None],
    should_stop: Callable[[], bool],
) -> None:
    """Hand on events until the process closes its stdout."""
    lines: queue.Queue[str | None] = queue.Queue()
    threading.Thread(target=_read, args=(process, lines), daemon=True).start()
    while True:
        if should_stop():
            raise Stopped
        try:
            line = lines.get(timeout=_LOOK_SECONDS)
        except queue.Empty:
            continue
        if line is None:
            process.wait()
            return
        event = json.loads(line)
        if event["event"] == "error":
            raise TimingError(event["message"])
        on_event(event)


def _read(process: subprocess.Popen[str], lines: queue.Queue[str | None]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        lines.put(line)
    lines.put(None)


def _end(process: subprocess.Popen[str]) -> None:
    """End the process and what it started, if it still runs."""
    processes.end(process)
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()


def _cause(code: int, errors: IO[str]) -> str:
    errors.seek(0)
    lines = errors.read().strip().splitlines()
    if code < 0:
        name = signal.Signals(-code).name
        return f"The timing process was ended by {name}" + (" (out of memory?)." if code == -9 else ".")
    return f"The timing process failed: {lines[-1] if lines else f'exit code {code}'}"
