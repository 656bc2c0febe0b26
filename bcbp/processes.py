"""Processes of our own modules, each the head of a group that ends with it."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


def start(command: Sequence[str], **options: Any) -> subprocess.Popen[Any]:
    """Start `command`, which finds our modules; `options` are those of Popen.

    In a session of its own, so that Ctrl-C at our terminal does not reach it.
    """
    paths = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    environment = {**os.environ, "PYTHONPATH": paths}
    return subprocess.Popen(command, env=environment, start_new_session=True, **options)


def end(process: subprocess.Popen[Any]) -> None:
    """End a process of `start` at once, and what it started in its group, if it still runs."""
    if process.poll() is not None:
        return
    with suppress(ProcessLookupError):  # it ended after the look
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    process.wait()
