"""A lock between processes that the system releases when its holder dies, however it dies.

Unlike a process number it cannot be mistaken for a later process, and it holds across containers
that share the folder.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

_POLL_SECONDS = 0.1
_PATIENCE_SECONDS = 2.0  # far longer than `is_held` holds what it probes

if sys.platform == "win32":
    import msvcrt

    def _try_lock(handle: int, *, shared: bool) -> None:
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _try_lock(handle: int, *, shared: bool) -> None:
        fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)


class FileLock:
    """Held from a successful `acquire` until `release` or the end of the process."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._handle: int | None = None

    def try_acquire(self, *, shared: bool = False) -> bool:
        """Whether the lock could be had at once."""
        handle = os.open(self._path, os.O_RDWR | os.O_CREAT)
        try:
            _try_lock(handle, shared=shared)
        except OSError:
            os.close(handle)
            return False
        self._handle = handle
        return True

    def acquire(self, give_up: Callable[[], bool]) -> bool:
        """Wait for the lock; False if `give_up` said so first."""
        while not self.try_acquire():
            if give_up():
                return False
            time.sleep(_POLL_SECONDS)
        return True

    def release(self) -> None:
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def __enter__(self) -> FileLock:
        """Wait out a passing probe. Raises TimeoutError when somebody really holds the lock."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        if not self.acquire(lambda: time.monotonic() > deadline):
            raise TimeoutError(f"{self._path} is held by another process")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def is_held(path: Path) -> bool:
    """Whether a living process holds the lock. Probes share it among themselves, for an instant."""
    if not path.exists():
        return False
    probe = FileLock(path)
    try:
        free = probe.try_acquire(shared=True)
    except FileNotFoundError:  # its folder was deleted after the look
        return False
    probe.release()
    return not free
