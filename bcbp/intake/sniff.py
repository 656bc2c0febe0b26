"""What a file is, by its first bytes; its name is only compared with that."""

from __future__ import annotations

import zipfile
from pathlib import Path

from bcbp.errors import ModelError
from bcbp.intake.headers import MASKS_FORMAT, metadata_of
from bcbp.intake.limits import FILE_BYTES

# Kinds that are read, as people call them, with the endings such files usually have.
TORCH, LEGACY, EXPORT, SAFETENSORS, ONNX = "torch", "torch-legacy", "pt2", "safetensors", "onnx"
MASKS = "masks"
TITLES = {
    TORCH: "a file of torch.save or TorchScript",
    LEGACY: "a file of torch.save before 1.6",
    EXPORT: "a torch.export archive",
    SAFETENSORS: "safetensors",
    ONNX: "ONNX",
    MASKS: "a file of masks",
}
ENDINGS = {
    TORCH: (".pt", ".pth", ".bin", ".ckpt", ".tar", ".ts"),
    LEGACY: (".pt", ".pth", ".bin", ".ckpt", ".tar"),
    EXPORT: (".pt2",),
    SAFETENSORS: (".safetensors",),
    ONNX: (".onnx",),
    MASKS: (".safetensors",),
}
READABLE = "a state_dict or checkpoint of torch.save (.pt, .pth), .safetensors, .pt2 or .onnx"

_LEGACY_MAGIC = b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # torch's magic number, pickled
_SAVE_AGAIN = "Save the model's state_dict with torch.save or safetensors, and upload that"
_OTHERS = (
    (b"<!doctype", "a web page", "The download did not give the file itself: use its direct link"),
    (b"<html", "a web page", "The download did not give the file itself: use its direct link"),
    (
        b"version https://git-lfs",
        "a Git-LFS pointer, not the file itself",
        "Run `git lfs pull` and upload again",
    ),
    (b"\x89hdf\r\n", "an HDF5 file (Keras)", _SAVE_AGAIN),
    (b"gguf", "a GGUF file", _SAVE_AGAIN),
    (b"\x93numpy", "a NumPy array", _SAVE_AGAIN),
    (b"\x89png", "a PNG image", "Choose the file with the weights"),
    (b"\xff\xd8\xff", "a JPEG image", "Choose the file with the weights"),
    (b"%pdf", "a PDF document", "Choose the file with the weights"),
    (b"\x1f\x8b", "a gzip archive", "Unpack it and upload the file with the weights"),
    (b"7z\xbc\xaf", "a 7-Zip archive", "Unpack it and upload the file with the weights"),
    (b"\x80", "a pickle that torch.save did not write", _SAVE_AGAIN),
)


def kind_of(path: Path) -> str:
    """One of the kinds above. Raises ModelError for anything else, by its name if that is known."""
    size = path.stat().st_size
    if size > FILE_BYTES:
        raise ModelError(
            f"Expected at most {FILE_BYTES >> 20} MB; got {size / 2**20:.0f} MB. Save float16 weights, or "
            "weights without the optimizer's."
        )
    with path.open("rb") as file:
        head = file.read(512)
    if not head:
        raise ModelError(f"Expected {READABLE}; got an empty file. Copy or download it again.")
    if head.startswith(b"PK"):
        return _kind_of_zip(path)
    if head[2:].startswith(_LEGACY_MAGIC):
        return LEGACY
    if head[8:9] == b"{":
        return MASKS if metadata_of(path).get("format") == MASKS_FORMAT else SAFETENSORS
    if head[0] == 8 and path.suffix.lower() == ".onnx":  # field 1 of every ONNX model: its version
        return ONNX
    raise ModelError(f"Expected {READABLE}; {_what_it_is(head)}.")


def _kind_of_zip(path: Path) -> str:
    """By what the archive lists; reading it comes later, within limits."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except zipfile.BadZipFile as error:
        raise ModelError(
            "Expected a whole archive, as torch.save writes it; the end of this one is missing or damaged. "
            "Copy or download it again."
        ) from error
    if any(name.endswith("_weights_config.json") for name in names):
        return EXPORT
    if any(name.endswith("data.pkl") for name in names):
        return TORCH
    raise ModelError(f"Expected {READABLE}; got another kind of zip archive. {_SAVE_AGAIN}.")


def _what_it_is(head: bytes) -> str:
    for start, what, advice in _OTHERS:
        if head.lstrip().lower().startswith(start):
            return f"got {what}. {advice}"
    return f"its first bytes, {head[:8].hex(' ')}, are those of no such file. {_SAVE_AGAIN}"


def odd_ending(kind: str, name: str) -> tuple[str, ...]:
    """A note where the name says something else than the content."""
    ending = Path(name).suffix.lower()
    if not ending or ending in ENDINGS[kind]:
        return ()
    return (f"Named {ending}, but it is {TITLES[kind]}; read as that.",)
