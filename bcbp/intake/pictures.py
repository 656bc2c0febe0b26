"""Zips of folders of pictures: what they list is checked, then pictures alone are unpacked, and read."""

from __future__ import annotations

import shutil
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from bcbp.errors import DataError
from bcbp.intake.archive import is_unsafe
from bcbp.intake.limits import ALL_PIXELS, PICTURE_PIXELS, PICTURES, UNPACKED_BYTES, UNPACKED_RATIO

if TYPE_CHECKING:
    from PIL.Image import Image

# What Pillow is allowed to take a file for, whatever its name; of the formats it knows, some start programs.
FORMATS = ("JPEG", "PNG", "BMP", "PPM", "TIFF", "WEBP")
ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".ppm", ".pgm", ".tif", ".tiff", ".webp")
_UNBOUNDED = ("I", "F")  # Pillow's names of 32 bits: nothing says which numbers are black and white
SPLITS = ("train", "val")  # folders of classes that are no class
_MACOS = "__MACOSX"  # what its archiver puts beside the files
_ENTRY = b"PK\1\2"  # what each entry of a zip's directory begins with
_AT_ONCE = 2  # pictures that are read, of which the largest take 200 MB each
_NAMED = 5  # damaged pictures, in a sentence
# What Pillow makes of a file that breaks off or says odd things.
_BROKEN = (OSError, SyntaxError, ValueError, ArithmeticError, LookupError, TypeError, EOFError, struct.error)
_WANTED = "Expected a zip of a folder of pictures, with a folder for each class"
_AGAIN = "Zip the folder again."


@dataclass(frozen=True)
class Unpacked:
    """How many pictures a zip had, and how many other files were left in it."""

    pictures: int
    others: int


def unpack(path: Path, folder: Path) -> Unpacked:
    """Write the pictures of a zip into `folder`, from below its single top folder if it has one.

    Raises DataError for what is no such zip, is not safe to unpack, or has a picture that cannot be read.
    """
    with _opened(path) as archive:
        entries = [entry for entry in archive.infolist() if not entry.is_dir()]
        _check(archive.infolist(), packed=path.stat().st_size)
        chosen = _pictures(entries)
        if not chosen:
            raise DataError(f"{_WANTED}; got {len(entries):,} files, none of them a picture in a folder.")
        for entry, place in chosen:
            _write(archive, entry, folder / place)
    paths = [folder / place for _, place in chosen]
    _check_pixels(paths)
    _check_pictures(folder, paths)
    return Unpacked(len(chosen), len(entries) - len(chosen))


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    _check_count(path)
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError) as error:
        raise DataError(
            f"{_WANTED}; got no whole zip ({error}). Copy it again, or zip the folder."
        ) from error
    with archive:
        yield archive


def _check_count(path: Path) -> None:
    """Of entries by their signatures, before zipfile has them all in memory."""
    with path.open("rb") as file:
        count = sum(chunk.count(_ENTRY) for chunk in iter(partial(file.read, 1 << 24), b""))
    if count > PICTURES:
        raise DataError(f"Expected at most {PICTURES:,} files in the zip; got {count:,}. Use fewer pictures.")


def _check(entries: Sequence[zipfile.ZipInfo], *, packed: int) -> None:
    """Of what the archive claims. Sizes cannot be exceeded later: reading an entry ends at its own claim."""
    total = sum(entry.file_size for entry in entries)
    if total > min(UNPACKED_BYTES, UNPACKED_RATIO * packed):
        raise DataError(
            f"Expected at most {UNPACKED_BYTES >> 20:,} MB once unpacked, and {UNPACKED_RATIO} times the "
            f"zip's size; it claims {total / 2**20:,.0f} MB, {total / packed:,.0f} times. Use fewer "
            "pictures, and do not trust a zip that shrinks them so far."
        )
    for entry in entries:
        _check_entry(entry)
    if len({entry.filename for entry in entries}) != len(entries):
        raise DataError(f"Expected every name once in the zip; some come twice. {_AGAIN}")


def _check_entry(entry: zipfile.ZipInfo) -> None:
    name = entry.filename
    if is_unsafe(name):
        raise DataError(
            f"Expected names inside the zip; {name[:60]!r} leads out of it. Do not trust this file."
        )
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise DataError(
            f"Expected files and folders in the zip; {name[:60]!r} is a link or a device. {_AGAIN}"
        )
    if entry.flag_bits & 1:
        raise DataError(f"Expected a zip without a password; {name[:60]!r} is encrypted. {_AGAIN}")
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise DataError(f"Expected a usual zip (deflate); {name[:60]!r} is packed in another way. {_AGAIN}")


def _pictures(entries: Sequence[zipfile.ZipInfo]) -> list[tuple[zipfile.ZipInfo, PurePosixPath]]:
    """The pictures that lie in a folder, and their places below what is the same for all."""
    found = [(entry, PurePosixPath(entry.filename)) for entry in entries]
    found = [(entry, place) for entry, place in found if _is_picture(place)]
    depth = _common_depth([place for _, place in found])
    below = [(entry, PurePosixPath(*place.parts[depth:])) for entry, place in found]
    return [(entry, place) for entry, place in below if _is_of_class(place)]


def _is_of_class(place: PurePosixPath) -> bool:
    """Whether a picture lies in the folder of a class, and not beside those folders."""
    return len(place.parts) > (2 if place.parts[:1] in [(split,) for split in SPLITS] else 1)


def _is_picture(place: PurePosixPath) -> bool:
    """
    >>> [_is_picture(PurePosixPath(name)) for name in ("a/1.PNG", "a/1.txt", "a/._1.png", "__MACOSX/a/1.png")]
    [True, False, False, False]
    """
    hidden = any(part.startswith(".") or part == _MACOS for part in place.parts)
    return place.suffix.lower() in ENDINGS and not hidden


def _common_depth(places: Sequence[PurePosixPath]) -> int:
    """How many top folders hold everything, classes and their splits not counted.

    A picture beside the folders of the classes is in none, and does not count.

    >>> _common_depth([PurePosixPath("mine/cat/1.png"), PurePosixPath("mine/dog/1.png")])
    1
    >>> _common_depth([PurePosixPath("cat/1.png")]), _common_depth([PurePosixPath("train/cat/1.png")])
    (0, 0)
    """
    depth = 0
    while any(len(place.parts) > depth + 2 for place in places):
        tops = {place.parts[depth] for place in places if len(place.parts) > depth}
        if len(tops) > 1 or tops <= set(SPLITS):
            break
        depth += 1
    return depth


def _write(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with archive.open(entry) as packed, path.open("xb") as file:
            shutil.copyfileobj(packed, file)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError) as error:
        raise DataError(
            f"Expected a whole zip; {entry.filename[:60]!r} in it is damaged. Copy it again, or zip the "
            "folder again."
        ) from error
    except OSError as error:  # a name that this disk does not take, a folder named as a file is, a full disk
        raise DataError(
            f"Expected to unpack {entry.filename[:60]!r}; that failed ({error.strerror}). Rename it, or make "
            "room."
        ) from error


def _check_pixels(paths: Sequence[Path]) -> None:
    """Of all pictures, by their headers: files that shrink well could keep the server busy for hours."""
    total = sum(map(_pixels, paths))
    if total > ALL_PIXELS:
        raise DataError(
            f"Expected at most {ALL_PIXELS / 1e9:,g} gigapixels in all; these {len(paths):,} pictures have "
            f"{total / 1e9:,.3g}. Use fewer or smaller ones."
        )


def _pixels(path: Path) -> int:
    """0 for a picture that cannot be read, which is found when it is."""
    try:
        with open_picture(path) as image:
            return image.width * image.height
    except DataError:
        return 0


def _check_pictures(folder: Path, paths: Sequence[Path]) -> None:
    """Read every one. Raises DataError with the names of those that are damaged."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        sound = list(pool.map(_is_sound, paths))
    damaged = [
        path.relative_to(folder).as_posix() for path, fine in zip(paths, sound, strict=True) if not fine
    ]
    if damaged:
        more = f" and {len(damaged) - _NAMED} more" if len(damaged) > _NAMED else ""
        raise DataError(
            f"Expected pictures that can be read, of at most {PICTURE_PIXELS >> 20} megapixels and 8 or 16 "
            f"bits a channel; {len(damaged)} of {len(paths):,} cannot: {', '.join(damaged[:_NAMED])}{more}. "
            "Repair or remove them, and zip the folder again."
        )


def _is_sound(path: Path) -> bool:
    try:
        with open_picture(path) as image:
            image.draft("RGB", (64, 64))  # a JPEG is read to its end all the same, in an eighth of the time
            image.load()
    except DataError:
        return False
    return True


@contextmanager
def open_picture(path: Path) -> Iterator[Image]:
    """A picture of one of the FORMATS, whatever its name.

    Raises DataError for one that cannot be read, or whose values have no known black and white.
    """
    from PIL import Image

    broken = (*_BROKEN, zlib.error, Image.DecompressionBombError)
    try:
        with Image.open(path, formats=FORMATS) as image:
            if image.width * image.height > PICTURE_PIXELS:
                raise ValueError("too many pixels")
            if image.mode in _UNBOUNDED:
                raise DataError(
                    f"Expected 8 or 16 bits a channel; {path} has 32. Save it with 8, from black, 0, to "
                    "white, 255."
                )
            yield image
    except DataError:
        raise
    except broken as error:
        raise DataError(
            f"Expected an image that can be read; {path} cannot ({type(error).__name__}). Repair or remove "
            "it."
        ) from error
