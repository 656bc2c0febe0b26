"""The device belongs to one measurement at a time, whoever asks: dashboard, command line, another session."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bcbp.jobs.lock import FileLock

DEVICE_LOCK = "device.lock"


@contextmanager
def hold_device(root: Path, *, on_wait: Callable[[], None], give_up: Callable[[], bool]) -> Iterator[None]:
    """Hold the device of the store at `root`; `on_wait` is called once if somebody else has it.

    When `give_up` ends the waiting, the body runs without the device: it is to look at the same word itself
    before it measures anything.
    """
    root.mkdir(parents=True, exist_ok=True)
    lock = FileLock(root / DEVICE_LOCK)
    if not lock.try_acquire():
        on_wait()
        lock.acquire(give_up)
    try:
        yield
    finally:
        lock.release()
