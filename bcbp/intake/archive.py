"""Zip archives of strangers: what they list is checked before anything is unpacked."""

from __future__ import annotations

import zipfile
from pathlib import Path, PurePosixPath

from bcbp.errors import ModelError
from bcbp.intake.limits import ENTRIES, FILE_BYTES
from bcbp.intake.tensors import Storage

_AGAIN = "Save the model again with torch.save."


class Archive:
    """An open archive with one top folder. Raises ModelError for what torch would never write."""

    def __init__(self, path: Path) -> None:
        self._zip = zipfile.ZipFile(path)
        entries = self._zip.infolist()
        if len(entries) > ENTRIES:
            raise ModelError(
                f"Expected at most {ENTRIES:,} files in the archive; got {len(entries):,}. {_AGAIN}"
            )
        self._entries = {entry.filename: entry for entry in entries}
        self._check_names(len(entries))
        total = sum(entry.file_size for entry in entries)
        if total > FILE_BYTES:
            raise ModelError(
                f"Expected at most {FILE_BYTES >> 20} MB once unpacked; the archive claims "
                f"{total / 2**20:,.0f} MB. {_AGAIN}"
            )

    def _check_names(self, count: int) -> None:
        unsafe = [name for name in self._entries if is_unsafe(name)]
        if unsafe:
            raise ModelError(
                f"Expected names inside the archive; {unsafe[0][:60]!r} leads out of it. "
                "Do not trust this file."
            )
        if len(self._entries) != count:
            raise ModelError(f"Expected every name once in the archive; some come twice. {_AGAIN}")

    def find(self, ending: str) -> str:
        """The one entry whose path ends so. Raises ModelError."""
        found = [name for name in self._entries if name.endswith(ending)]
        if len(found) != 1:
            raise ModelError(f"Expected one {ending} in the archive; got {len(found)}. {_AGAIN}")
        return found[0]

    def read(self, name: str, limit: int) -> bytes:
        """One entry of at most `limit` bytes. Raises ModelError."""
        size = self.storage(name, packed=True).size
        if size > limit:
            raise ModelError(
                f"Expected at most {limit >> 20} MB in {name}; got {size / 2**20:,.0f} MB. {_AGAIN}"
            )
        return self._zip.read(name)

    def storage(self, name: str, *, packed: bool = False) -> Storage:
        """An entry that holds tensors, which torch never packs. Raises ModelError."""
        entry = self._entries.get(name)
        if entry is None:
            raise ModelError(
                f"Expected {name} in the archive; it is not there. Copy or download the file again."
            )
        if entry.flag_bits & 1 or (entry.compress_type != zipfile.ZIP_STORED and not packed):
            raise ModelError(
                f"Expected plain tensors in the archive; {name} is compressed or encrypted. {_AGAIN}"
            )
        return Storage(entry.file_size, lambda: self._zip.read(entry))

    def __contains__(self, name: str) -> bool:
        return name in self._entries


def is_unsafe(name: str) -> bool:
    """
    >>> [is_unsafe(name) for name in ("net/data/0", "../x", "/etc/x", "a\\\\b", "C:/x")]
    [False, True, True, True, True]
    """
    parts = PurePosixPath(name).parts
    return name.startswith("/") or ".." in parts or "\\" in name or "\0" in name or ":" in name
