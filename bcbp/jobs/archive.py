"""A run as one zip file, to keep elsewhere or to pass on; read back with checks, and never executed."""

from __future__ import annotations

import io
import json
import math
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from bcbp.errors import DataError
from bcbp.fields import check_date, check_plain
from bcbp.jobs.kinds import PREDICTIONS
from bcbp.jobs.store import ENDED, NAME_FILE, REPORT_FILE, REQUEST_FILE, STATE_FILE, RunStore, StoreError
from bcbp.predictions import read_predictions
from bcbp.progress import Progress
from bcbp.report import SCHEMA
from bcbp.request import CompareRequest

Json = dict[str, Any]

# What an exported run is made of, with the most bytes that each file may have.
MEMBERS = {
    REQUEST_FILE: 1 << 20,
    STATE_FILE: 1 << 20,
    NAME_FILE: 1 << 14,
    REPORT_FILE: 64 << 20,
    PREDICTIONS: 64 << 20,
}
LARGEST = 128 << 20  # bytes of the whole file
_NEEDED = {REQUEST_FILE, STATE_FILE, REPORT_FILE}
_AGAIN = "Export the run again."
_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError)


def pack(store: RunStore, run_id: str) -> bytes:
    """The files of a run that has ended. Raises RunNotFound, StoreError."""
    if store.read(run_id).active:
        raise StoreError(f"Expected a run that has ended; {run_id} goes on. Wait for it, or stop it.")
    folder, packed = store.folder(run_id), io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in MEMBERS:
            if (folder / name).exists():
                archive.write(folder / name, name)
    return packed.getvalue()


@dataclass(frozen=True)
class Packed:
    """A comparison out of an archive: what it was asked, and its other files, checked."""

    created: str
    request: CompareRequest
    report: Json
    files: dict[str, bytes]


def unpack(content: bytes) -> Packed:
    """What `pack` wrote of a comparison.

    Raises StoreError, and SpecError or ModelError for a request that this version cannot carry out.
    """
    files = _members(content)
    for name in files.keys() - {PREDICTIONS}:
        _sense(name, partial(check_plain, _object(files, name)))
    record, report = _object(files, REQUEST_FILE), _object(files, REPORT_FILE)
    created = _sense(REQUEST_FILE, lambda: _date(record["created"]))
    request = _sense(REQUEST_FILE, lambda: CompareRequest.from_json(record["request"]))
    _sense(STATE_FILE, lambda: _check_state(_object(files, STATE_FILE)))
    if NAME_FILE in files:
        _sense(NAME_FILE, lambda: _object(files, NAME_FILE)["name"].encode())
    if report.get("schema") != SCHEMA or not isinstance(report.get("rows"), list):
        raise StoreError(f"Expected a report of schema {SCHEMA} in the archive; it has none. {_AGAIN}")
    if PREDICTIONS in files:
        _sense(PREDICTIONS, lambda: _check_predictions(files[PREDICTIONS]))
    del files[REQUEST_FILE]
    return Packed(created, request, report, files)


def take_in(store: RunStore, packed: Packed) -> str:
    """Keep it as a run of its own; gives its id. Raises StoreError."""
    return store.create(packed.request, created=packed.created, files=packed.files)


def _members(content: bytes) -> dict[str, bytes]:
    """The files of the archive by their names, all of them known and none too large."""
    if len(content) > LARGEST:
        raise StoreError(f"Expected a file of at most {LARGEST >> 20} MB; got {len(content) >> 20} MB.")
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = archive.infolist()
            names = {entry.filename for entry in entries}
            if len(names) != len(entries) or names - MEMBERS.keys() or _NEEDED - names:
                raise StoreError(
                    f"Expected an exported run: {', '.join(MEMBERS)}, each once and nothing else. {_AGAIN}"
                )
            for entry in entries:
                if entry.file_size > (most := MEMBERS[entry.filename]):
                    raise StoreError(f"Expected {entry.filename} of at most {most >> 10} KB. {_AGAIN}")
            return {name: archive.read(name) for name in names}  # at most as many bytes as it claims
    except StoreError:
        raise
    except (*_BROKEN, NotImplementedError, RuntimeError, OSError, ValueError) as error:
        raise StoreError(f"Expected an exported run (zip); the file cannot be read: {error}") from error


def _object(files: dict[str, bytes], name: str) -> Json:
    try:
        found = json.loads(files[name])
    except (ValueError, RecursionError) as error:
        raise StoreError(f"Expected JSON in {name}; it cannot be read. {_AGAIN}") from error
    if not isinstance(found, dict):
        raise StoreError(f"Expected an object in {name}; got something else. {_AGAIN}")
    return found


def _sense(name: str, read: Callable[[], Any]) -> Any:
    """What `read` gives. Raises StoreError where the file of that name makes no sense."""
    try:
        return read()
    except (
        KeyError,
        TypeError,
        ValueError,
        AttributeError,
        EOFError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        raise StoreError(f"Expected a run in the archive; {name} makes no sense: {error}") from error


def _date(text: str) -> str:
    check_date(text)
    return text


def _check_state(state: Json) -> None:
    """Raises ValueError, KeyError, TypeError for a run that has not ended, and for what is no state."""
    Progress.from_json(state["progress"])
    if state["state"] not in ENDED or not isinstance(state["error"], str | None):
        raise ValueError("expected a run that has ended")


def _check_predictions(content: bytes) -> None:
    """Raises ValueError for arrays that claim more than there is, and for answers that are no classes."""
    with zipfile.ZipFile(io.BytesIO(content)) as arrays:
        for entry in arrays.infolist():
            with arrays.open(entry) as file:
                np.lib.format.read_magic(file)
                shape, _, dtype = np.lib.format.read_array_header_1_0(file)
            if math.prod(shape) * dtype.itemsize > entry.file_size or entry.file_size > LARGEST:
                raise ValueError(f"{entry.filename} claims {shape} of {dtype}")
    with TemporaryDirectory() as folder:
        path = Path(folder) / PREDICTIONS
        path.write_bytes(content)
        try:
            found = read_predictions(path)
        except DataError as error:
            raise ValueError(str(error)) from error
    for numbers in (found.labels, *found.answers.values()):
        inside = not len(numbers) or (int(numbers.min()) >= 0 and int(numbers.max()) < len(found.classes))
        if numbers.shape != found.labels.shape or numbers.dim() != 1 or not inside:
            raise ValueError("answers that are no classes")
