"""Files and folders that are never seen half-written, whatever is killed and whenever."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG} if hasattr(errno, "EDQUOT") else {errno.ENOSPC}


def write_json(path: Path, data: dict[str, Any]) -> None:
    """Replace `path` by `data`, as `replace_file` does."""
    replace_file(path, json.dumps(data).encode())


def replace_file(path: Path, *parts: bytes | memoryview) -> None:
    """Replace `path` by `parts` in one step that survives a crash: written beside it, synced, renamed.

    One writer per path: the name of the file beside it is fixed, so that a killed writer leaves one at most.
    """
    beside = path.with_name(path.name + ".part")
    try:
        with beside.open("wb") as file:
            file.writelines(parts)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        beside.unlink(missing_ok=True)  # on a full disk half a file is in the way of the message that says so
        raise
    os.replace(beside, path)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Make the rename itself durable, where the system lets folders be opened."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def arriving(place: Path, mark: str) -> Iterator[Path]:
    """A new folder beside `place` to fill, a file `mark` last; then it is moved there (see `settle`)."""
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.parent, prefix=".incoming-") as incoming:
        made = Path(incoming) / place.name
        made.mkdir()
        yield made
        settle(made, place, mark)


def settle(made: Path, place: Path, mark: str) -> None:
    """Move a finished folder to its `place`, unless another process has put the same there meanwhile.

    A folder is finished where it holds a file `mark`; one without was cut off, and gives way. Raises OSError.
    """
    try:
        made.replace(place)
    except OSError:
        if (place / mark).exists():
            return
        remove_folder(place)
        made.replace(place)


def remove_folder(folder: Path) -> None:
    """Delete a folder, if there is one, in one step for whoever looks: it is moved aside first."""
    with (
        suppress(FileNotFoundError),
        tempfile.TemporaryDirectory(dir=folder.parent, prefix=".removed-") as aside,
    ):
        folder.replace(Path(aside) / folder.name)


def folder_stamp(folder: Path) -> str:
    """Changes when files are added, removed or renamed in a folder or in those of the two levels below it.

    It looks at folders alone, so that it is cheap for a million files; a file written over in place is not
    noticed. A file has one, too, and so has what is not there.
    """
    return hashlib.sha256(json.dumps(list(_times(folder, levels=2))).encode()).hexdigest()[:12]


def _times(path: Path, *, levels: int) -> Iterator[tuple[str, int]]:
    """Path and time of the last change, in ns, of `path` and of the folders of so many `levels` below."""
    with suppress(OSError):  # whoever reads the pictures says what is wrong with their place
        yield str(path), path.stat().st_mtime_ns
        if levels and path.is_dir():
            for inside in sorted(entry.path for entry in os.scandir(path) if entry.is_dir()):
                yield from _times(Path(inside), levels=levels - 1)


def read_json(path: Path) -> dict[str, Any] | None:
    """What `write_json` wrote; None if there is nothing, or nothing readable."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return data if isinstance(data, dict) else None


def is_disk_full(error: OSError) -> bool:
    return error.errno in _FULL
