"""Zips of pictures, each unpacked once and kept under its content's digest; and what requests call them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from bcbp.errors import DataError
from bcbp.files import arriving, read_json, remove_folder, write_json
from bcbp.home import default_root
from bcbp.image_folder import samples_in
from bcbp.intake.limits import FILE_BYTES
from bcbp.intake.pictures import Unpacked, unpack
from bcbp.intake.uploads import content_id, is_id

PREFIX = "images:"  # before the id of a stored zip, where a request names its images
_ORIGIN = ".origin.json"  # no name of a class: pictures in hidden folders are not unpacked


@dataclass(frozen=True)
class Pictures:
    """A stored zip: its id, the name it came under, where it is unpacked, and what was in it."""

    id: str
    name: str
    folder: Path
    content: Unpacked

    @property
    def reference(self) -> str:
        """`images:mine-0123456789ab` in requests."""
        return PREFIX + self.id


class PictureStore:
    """Folders under `root`/images, one for each content."""

    def __init__(self, root: Path | None = None) -> None:
        self._folder = (root or default_root()) / "images"

    def take_in(self, path: Path) -> Pictures:
        """Check and unpack a zip (see `unpack`), once per content. Raises DataError."""
        if not path.is_file():
            raise DataError(f"Expected a zip of pictures at {path}; there is none. Check the path.")
        if path.stat().st_size > FILE_BYTES:
            raise DataError(
                f"Expected at most {FILE_BYTES >> 20} MB; {path.name} is larger. Use fewer pictures."
            )
        known = content_id(path)
        if not (self._folder / known / _ORIGIN).exists():
            with arriving(self._folder / known, _ORIGIN) as made:
                content = unpack(path, made)
                _check_classes(made, path.name)
                write_json(made / _ORIGIN, {"name": path.name, "content": asdict(content)})
        return self.read(known)

    def read(self, pictures: str) -> Pictures:
        """The stored zip of that id. Raises DataError."""
        folder = self._folder / pictures
        origin = read_json(folder / _ORIGIN) if is_id(pictures) else None
        if origin is None:
            raise DataError(
                f"Expected stored images; {pictures[:60]} is not on this machine. Give the zip again."
            )
        return Pictures(pictures, origin["name"], folder, Unpacked(**origin["content"]))

    def forget(self, pictures: str) -> None:
        """Delete a stored zip; runs that used it keep their results."""
        if is_id(pictures):
            remove_folder(self._folder / pictures)


def _check_classes(folder: Path, name: str) -> None:
    """Raises DataError as for any folder, by the name of the zip."""
    try:
        samples_in(folder)
    except DataError as error:
        raise DataError(str(error).replace(str(folder), name)) from error


def stored_id(data: str | Path | None) -> str | None:
    """The id in the name of images that are stored; None for a folder or a file."""
    text = str(data) if data else ""
    return text.removeprefix(PREFIX) if text.startswith(PREFIX) else None


def place_of(data: str | Path | None) -> Path | None:
    """The folder that is meant: `data` itself, that of stored images, or of a zip, which is taken in.

    Raises DataError.
    """
    if not data:
        return None
    if (stored := stored_id(data)) is not None:
        return PictureStore().read(stored).folder
    return PictureStore().take_in(Path(data)).folder if Path(data).is_file() else Path(data)
