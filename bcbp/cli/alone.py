"""Work that has the machine to itself, with its progress on the terminal and Ctrl-C as a wish to stop."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from bcbp.cli.console import Console, Interrupt
from bcbp.jobs.device import hold_device
from bcbp.jobs.store import default_root


@contextmanager
def alone() -> Iterator[tuple[Console, Interrupt]]:
    """Wait for the device and hold it; when the waiting was interrupted, the body is to see that itself."""
    console = Console(sys.stderr)
    with Interrupt(console) as interrupt:
        wait = "waiting for another measurement on this machine to end"
        try:
            with hold_device(default_root(), on_wait=lambda: console.say(wait), give_up=interrupt.asked):
                yield console, interrupt
        finally:
            console.close()
