"""The table of kinds of files, and what reads each of them. A new kind is one function and one line."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import safetensors

from bcbp.errors import ModelError
from bcbp.intake import sniff
from bcbp.intake.archive import Archive
from bcbp.intake.containers import strip_prefixes, tensors_in
from bcbp.intake.headers import metadata_of
from bcbp.intake.inert import read_pickle
from bcbp.intake.limits import PICKLE_BYTES
from bcbp.intake.onnx import read_onnx
from bcbp.intake.tensors import DTYPES, Claim, Contents, Storage, contiguous

# The numbers of torch.export's types (its schema's ScalarType) and safetensors' own names, in torch's words.
_EXPORT_DTYPES = dict(
    enumerate(
        (
            *("uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64"),
            *("complex32", "complex64", "complex128", "bool", "bfloat16"),
        ),
        start=1,
    )
)
_SAFETENSORS_DTYPES = {
    "BF16": "bfloat16",
    "BOOL": "bool",
    "C64": "complex64",
    **{f"F{bits}": f"float{bits}" for bits in (16, 32, 64)},
    **{
        f"{sign}{bits}": f"{word}{bits}"
        for sign, word in (("I", "int"), ("U", "uint"))
        for bits in (8, 16, 32, 64)
    },
}
_SHOWN_NAMES = 3


def read_torch(path: Path) -> Contents:
    """torch.save since 1.6, and TorchScript, whose code stays packed."""
    archive = Archive(path)
    entry = archive.find("data.pkl")
    root = entry.removesuffix("data.pkl")
    _check_byte_order(archive, root)
    tree, reader = read_pickle(io.BytesIO(archive.read(entry, PICKLE_BYTES)))
    claims, notes = tensors_in(tree)
    used = {claim.storage for claim in claims.values()}
    storages = {key: archive.storage(f"{root}data/{key}") for key in used}
    return Contents(claims, storages, (*notes, *_stayed_closed(reader.names)))


def _check_byte_order(archive: Archive, root: str) -> None:
    name = f"{root}byteorder"
    if name in archive and archive.read(name, PICKLE_BYTES) != b"little":
        raise ModelError(
            "Expected little-endian tensors; these are not. Save the model again on a usual machine."
        )


def read_legacy(path: Path) -> Contents:
    """torch.save before 1.6: three pickles of versions, the objects, the order of storages, the storages."""
    file = io.BytesIO(path.read_bytes())
    for _ in range(3):
        read_pickle(file)
    tree, reader = read_pickle(file)
    order, _reader = read_pickle(file)
    claims, notes = tensors_in(tree)
    storages = _legacy_storages(file, order, reader.storages)
    return Contents(claims, storages, (*notes, *_stayed_closed(reader.names)))


def _legacy_storages(
    file: io.BytesIO, order: Sequence[str], known: dict[str, tuple[str, int]]
) -> dict[str, Storage]:
    """Each storage lies behind its number of elements, 8 bytes."""
    view, storages = file.getbuffer(), {}
    for key in order:
        dtype, elements = known[key]
        size = elements * DTYPES[dtype].itemsize
        start = file.tell() + 8
        if int.from_bytes(file.read(8), "little") != elements or not 0 <= size <= len(view) - start:
            raise EOFError(f"the storage {key}")
        storages[key] = _slice(view, start, size)
        file.seek(start + size)
    return storages


def _slice(view: memoryview, start: int, size: int) -> Storage:
    return Storage(size, lambda: bytes(view[start : start + size]))


def read_export(path: Path) -> Contents:
    """torch.export: a table of weights as JSON, and a file of plain bytes for each."""
    archive = Archive(path)
    entry = archive.find("_weights_config.json")
    folder = entry.rpartition("/")[0]
    table: dict[str, Any] = json.loads(archive.read(entry, PICKLE_BYTES))["config"]
    pickled = [name for name, line in table.items() if line["use_pickle"]]
    if pickled:
        raise ModelError(
            f"Expected weights as plain bytes; {pickled[0][:60]} and maybe others are pickled. "
            "Save the model's state_dict with torch.save or safetensors."
        )
    claims, _ = strip_prefixes({name: _export_claim(folder, line) for name, line in table.items()})
    storages = {claim.storage: archive.storage(claim.storage) for claim in claims.values()}
    return Contents(claims, storages)


def _export_claim(folder: str, line: dict[str, Any]) -> Claim:
    meta = line["tensor_meta"]
    shape, strides = (tuple(size["as_int"] for size in meta[part]) for part in ("sizes", "strides"))
    dtype = _EXPORT_DTYPES.get(meta["dtype"], f"type {meta['dtype']}")
    return Claim(f"{folder}/{line['path_name']}", dtype, shape, strides, meta["storage_offset"]["as_int"])


def read_safetensors(path: Path) -> Contents:
    """Weights, by the names that they have without wrappers. Raises ModelError."""
    found = _safetensors(path)
    return Contents(strip_prefixes(dict(found.claims))[0], found.storages)


def read_masks(path: Path) -> Contents:
    """Masks as we export them: names as they are, and the header, which has the plan. Raises ModelError."""
    return replace(_safetensors(path), header=metadata_of(path))


def _safetensors(path: Path) -> Contents:
    """Through the library of that name, which checks sizes and offsets. Raises ModelError."""
    try:
        tensors = safetensors.deserialize(path.read_bytes())
    except safetensors.SafetensorError as error:
        raise ModelError(
            f"Expected a whole safetensors file; its header does not fit it ({str(error)[:80]}). "
            "Copy or download it again."
        ) from error
    claims = {
        name: contiguous(name, _SAFETENSORS_DTYPES.get(line["dtype"], line["dtype"]), tuple(line["shape"]))
        for name, line in tensors
    }
    return Contents(claims, {name: _held(line["data"]) for name, line in tensors})


def _held(data: bytes) -> Storage:
    return Storage(len(data), lambda: bytes(data))


def _stayed_closed(names: Sequence[str]) -> tuple[str, ...]:
    """A note on the classes and functions that the file names."""
    if not names:
        return ()
    shown = ", ".join(name[:60] for name in names[:_SHOWN_NAMES])
    more = f" and {len(names) - _SHOWN_NAMES} more" if len(names) > _SHOWN_NAMES else ""
    return (f"The file names code: {shown}{more}. None of it was executed; only tensors were read.",)


READERS: dict[str, Callable[[Path], Contents]] = {
    sniff.TORCH: read_torch,
    sniff.LEGACY: read_legacy,
    sniff.EXPORT: read_export,
    sniff.SAFETENSORS: read_safetensors,
    sniff.ONNX: read_onnx,
    sniff.MASKS: read_masks,
}
