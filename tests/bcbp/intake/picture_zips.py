"""Zips of pictures, sound, odd and hostile: each case says what has to be answered."""

from __future__ import annotations

import io
import stat
import struct
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from PIL import Image

CLASSES = ("cat", "dog", "owl")


def picture(label: int = 0, *, size: tuple[int, int] = (20, 24), seed: int = 0, form: str = "PNG") -> bytes:
    """Of one colour a label, with noise."""
    pixels = np.random.default_rng(seed).integers(0, 60, (*size, 3), dtype=np.uint8)
    pixels[..., label % 3] += 180
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, form)
    return file.getvalue()


def grey(kind: type[np.generic], form: str = "TIFF") -> bytes:
    """A ramp from black, 0, to the white of 16 bits, 65535, in numbers of that kind."""
    file = io.BytesIO()
    ramp = np.linspace(0, 65535, 24 * 24).reshape(24, 24)
    Image.fromarray(ramp.astype(kind)).save(file, form)
    return file.getvalue()


def folders(*, each: int = 4, top: str = "", classes: tuple[str, ...] = CLASSES) -> dict[str, bytes]:
    """Pictures in a folder for each class, below `top`; the label of a class is its place in `classes`."""
    return {
        f"{top}{name}/{index}.png": picture(label, seed=index)
        for label, name in enumerate(classes)
        for index in range(each)
    }


def zipped(files: Mapping[str, bytes], *, packing: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", packing) as made:
        for name, content in files.items():
            made.writestr(name, content)
    return file.getvalue()


def _special(kind: int) -> bytes:
    """With an entry that says to be a link, or whatever `kind` is."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        entry = zipfile.ZipInfo("cat/1.png")
        entry.external_attr = (kind | 0o777) << 16
        made.writestr(entry, "../../etc/passwd")
    return file.getvalue()


def _twice() -> bytes:
    return zipped({"cat/1.png": picture(), "cat/2.png": picture()}).replace(b"cat/2.png", b"cat/1.png")


def _encrypted() -> bytes:
    """The flag alone, in the directory at the end."""
    content = bytearray(zipped({"cat/1.png": picture()}))
    content[content.rindex(b"PK\1\2") + 8] |= 1
    return bytes(content)


def _claims(size: int) -> bytes:
    """An entry that claims to be of so many bytes."""
    content = bytearray(zipped({"cat/1.png": picture()}))
    struct.pack_into("<I", content, content.rindex(b"PK\1\2") + 24, size)
    return bytes(content)


def _flipped() -> bytes:
    """A bit of a picture is another than its checksum says."""
    content = bytearray(zipped({"cat/1.png": picture()}, packing=zipfile.ZIP_STORED))
    content[200] ^= 1
    return bytes(content)


def _wide() -> bytes:
    """A PNG of 20,000 x 20,000 pixels in a few bytes, as its header says."""
    header = struct.pack(">IIBBBBB", 20_000, 20_000, 8, 0, 0, 0, 0)
    whole = bytearray(picture())
    whole[16 : 16 + len(header)] = header
    return bytes(whole)


@dataclass(frozen=True)
class Case:
    """One zip, and a part of the sentence that refuses it."""

    name: str
    build: Callable[[], bytes]
    words: str


REFUSED = (
    Case("empty", lambda: b"", "got no whole zip"),
    Case("a web page", lambda: b"<html>", "got no whole zip"),
    Case("cut off", lambda: zipped(folders())[:-40], "got no whole zip"),
    Case("nothing in it", lambda: zipped({}), "got 0 files, none of them a picture"),
    Case(
        "other files", lambda: zipped({"a/b.txt": b"x", "c.py": b"x"}), "got 2 files, none of them a picture"
    ),
    Case(
        "no folders", lambda: zipped({"1.png": picture()}), "got 1 files, none of them a picture in a folder"
    ),
    Case("upwards", lambda: zipped({"../cat/1.png": picture()}), "'../cat/1.png' leads out of it"),
    Case("hidden upwards", lambda: zipped({"cat/../../1.png": picture()}), "leads out of it"),
    Case("absolute", lambda: zipped({"/cat/1.png": picture()}), "'/cat/1.png' leads out of it"),
    Case("of Windows", lambda: zipped({"C:/cat/1.png": picture()}), "leads out of it"),
    Case("backslashes", lambda: zipped({"cat\\..\\1.png": picture()}), "leads out of it"),
    Case("link", lambda: _special(stat.S_IFLNK), "'cat/1.png' is a link or a device"),
    Case("device", lambda: _special(stat.S_IFCHR), "'cat/1.png' is a link or a device"),
    Case("twice", _twice, "every name once"),
    Case("encrypted", _encrypted, "'cat/1.png' is encrypted"),
    Case("packed oddly", lambda: zipped(folders(), packing=zipfile.ZIP_LZMA), "packed in another way"),
    Case("bomb", lambda: zipped({"cat/1.bmp": bytes(8 << 20)}), "it claims 8 MB"),
    Case("large claim", lambda: _claims(3 << 30), "it claims 3,072 MB"),
    Case("small claim", lambda: _claims(10), "'cat/1.png' in it is damaged"),
    Case("flipped bit", _flipped, "'cat/1.png' in it is damaged"),
    Case(
        "folder as file",
        lambda: zipped(folders() | {"a/b.png": picture(), "a/b.png/c.png": picture()}),
        "that failed",
    ),
    Case("long name", lambda: zipped({f"cat/{'x' * 300}.png": picture()}), "that failed"),
    Case(
        "damaged",
        lambda: zipped(folders() | {"dog/9.png": picture()[:300], "owl/9.jpg": b"no picture"}),
        "2 of 14 cannot: dog/9.png, owl/9.jpg. Repair",
    ),
    Case("other format", lambda: zipped(folders() | {"cat/9.png": picture(form="GIF")}), "1 of 13 cannot"),
    Case(
        "too many pixels",
        lambda: zipped(folders() | {"cat/9.png": _wide()}),
        "at most 64 megapixels and 8 or 16 bits a channel; 1 of 13",
    ),
    Case("floats", lambda: zipped(folders() | {"cat/9.tif": grey(np.float32)}), "1 of 13 cannot: cat/9.tif"),
    Case("32 bits", lambda: zipped(folders() | {"cat/9.tif": grey(np.int32)}), "1 of 13 cannot: cat/9.tif"),
    Case("one picture a class", lambda: zipped(folders(each=1)), "Expected at least 2 images in mine.zip"),
    Case("no val", lambda: zipped(folders(top="train/")), "Expected a folder val"),
    Case(
        "other classes",
        lambda: zipped(folders(top="train/") | folders(top="val/", classes=("cat", "dog", "elk"))),
        "Expected the same classes",
    ),
)
