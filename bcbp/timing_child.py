"""The timing process as seen from inside: a job on stdin, JSON lines on stdout, gone when its parent is."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable
from typing import Any, TextIO

from bcbp.errors import BcbpError

Emit = Callable[[dict[str, Any]], None]


def serve(work: Callable[[dict[str, Any], Emit], None]) -> int:
    """Read a job, have `work` do it and emit events; gives the exit code.

    An error of ours becomes an event, everything else a traceback on stderr.
    """
    output = _take_stdout()
    job = json.loads(sys.stdin.readline())
    threading.Thread(target=end_with_parent, daemon=True).start()

    def emit(event: dict[str, Any]) -> None:
        print(json.dumps(event), file=output, flush=True)

    try:
        work(job, emit)
    except BcbpError as error:
        emit({"event": "error", "message": str(error)})
        return 2
    return 0


def _take_stdout() -> TextIO:
    """Stdout for events alone: what libraries print goes to stderr."""
    events = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return events


def end_with_parent() -> None:
    """End this process when its parent is gone, however it went: its end of stdin then closes."""
    sys.stdin.read()
    os._exit(1)
