"""Whose things are: for runs, uploads and imports of a store that several people share.

An owner is an opaque name made of a secret or an identity that cannot be read from it. A thing that is named
by its content can have several.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

_NAME = re.compile(r"[\w.@-]+")
_DIGITS = 32


def owner_of(*parts: str) -> str:
    """The name of the owner that a secret or the parts of an identity mean."""
    whole = "".join(f"{len(part)}:{part}" for part in parts)  # so that no two lists read the same
    return hashlib.sha256(whole.encode()).hexdigest()[:_DIGITS]


class Owners:
    """Of the things of one `kind` in the store at `root`: an empty file for each thing and owner."""

    def __init__(self, root: Path, kind: str) -> None:
        self._folder = root / "owners" / kind

    def add(self, thing: str, owner: str) -> None:
        """Have `thing` belong to `owner`, too. Raises OSError."""
        folder = self._of(thing)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / owner).touch()

    def has(self, thing: str, owner: str) -> bool:
        return (self._of(thing) / owner).exists()

    def drop(self, thing: str, owner: str) -> bool:
        """Take `thing` from `owner`; whether it belongs to nobody now."""
        folder = self._of(thing)
        (folder / owner).unlink(missing_ok=True)
        try:
            folder.rmdir()
        except FileNotFoundError:
            return True
        except OSError:  # somebody else has it, too
            return False
        return True

    def _of(self, thing: str) -> Path:
        assert _NAME.fullmatch(thing) and thing.strip("."), f"no name of a thing: {thing!r}"
        return self._folder / thing
