"""Files that were read, kept as checked tensors under their content's digest; and what requests call them."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from bcbp.errors import ModelError
from bcbp.files import arriving, read_json, remove_folder, write_json
from bcbp.home import default_root
from bcbp.intake.child import ANSWER
from bcbp.intake.reading import Reading, read_file, reading_of
from bcbp.intake.sniff import MASKS

_FILE = "file:"
_ID = re.compile(r"[a-z0-9_.-]{1,40}-[0-9a-f]{12}")
_ORIGIN = "origin.json"


@dataclass(frozen=True)
class Reference:
    """A stored file as one architecture: `file:mynet-0123456789ab@resnet18` in requests and links."""

    upload: str
    architecture: str

    def __str__(self) -> str:
        return f"{_FILE}{self.upload}@{self.architecture}"


def reference_of(name: str) -> Reference | None:
    """The reference that a model's name is; None for other names. Raises ModelError for a broken one."""
    if not name.startswith(_FILE):
        return None
    upload, _, architecture = name.removeprefix(_FILE).partition("@")
    if not is_id(upload) or not architecture:
        raise ModelError(f"Expected a stored file as {_FILE}NAME-DIGEST@ARCHITECTURE; got {name[:80]!r}.")
    return Reference(upload, architecture)


@dataclass(frozen=True)
class Upload:
    """A stored file: its id, the name it came under, and what it holds."""

    id: str
    name: str
    reading: Reading


class UploadStore:
    """Files of weights under `root`/models, one folder each: tensors as safetensors, the rest as JSON."""

    place, again = "models", "Upload it again."

    def __init__(self, root: Path | None = None) -> None:
        self._folder = (root or default_root()) / self.place

    def take_in(self, path: Path) -> Upload:
        """Read a file (see `read_file`) and keep what it holds, once per content. Raises ModelError."""
        if not path.is_file():
            raise ModelError(f"Expected a file at {path}; there is none. Check the path.")
        known = content_id(path)
        if (self._folder / known / _ORIGIN).exists():
            return self.read(known)
        with arriving(self._folder / known, _ORIGIN) as made:
            self.check_kind(read_file(path, made))
            write_json(made / _ORIGIN, {"name": path.name})
        return self.read(known)

    def check_kind(self, reading: Reading) -> None:
        """Raises ModelError for what is not kept here."""
        if reading.kind == MASKS:
            raise ModelError(
                "Expected a file of weights; got a file of masks. Drop it on Tune, or give it to --masks."
            )

    def read(self, upload: str) -> Upload:
        """One stored file. Raises ModelError."""
        answer = origin = None
        if is_id(upload):
            folder = self._folder / upload
            answer, origin = read_json(folder / ANSWER), read_json(folder / _ORIGIN)
        if answer is None or origin is None:
            raise ModelError(f"Expected a stored file; {upload[:80]} is not on this machine. {self.again}")
        return Upload(upload, origin["name"], reading_of(answer, folder))

    def list(self) -> tuple[str, ...]:
        """The ids of all stored files, the newest first."""
        folders = self._folder.iterdir() if self._folder.is_dir() else ()
        known = [folder for folder in folders if is_id(folder.name)]
        return tuple(one.name for one in sorted(known, key=lambda one: one.stat().st_mtime, reverse=True))

    def forget(self, upload: str) -> None:
        """Delete a stored file; runs that used it keep their results."""
        if is_id(upload):
            remove_folder(self._folder / upload)


def content_id(path: Path) -> str:
    """What a file is kept under: its name, and twelve digits of its content."""
    return f"{_slug(path.stem)}-{_digest(path)}"


def content_of(known: str) -> str:
    """The digits of the content in what `content_id` gives."""
    return known.rpartition("-")[2]


def is_id(text: str) -> bool:
    """Whether a text can be one of `content_id`, and so the name of one folder and of no path."""
    return _ID.fullmatch(text) is not None


def _slug(stem: str) -> str:
    """
    >>> _slug("My Net (v2)"), _slug("тест")
    ('my-net-v2', 'model')
    """
    return re.sub(r"[^a-z0-9_.]+", "-", stem.lower()).strip("-.")[:40].rstrip("-.") or "model"


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()[:12]
