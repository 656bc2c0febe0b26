"""A run as a file: the same run comes back, and nothing of what a stranger may put into one does harm."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bcbp.device_request import DeviceRequest
from bcbp.errors import BcbpError
from bcbp.files import write_json
from bcbp.jobs import RunStore, StoreError
from bcbp.jobs.archive import LARGEST, pack, take_in, unpack
from bcbp.predictions import Predictions, read_predictions, write_predictions
from bcbp.progress import Progress
from bcbp.request import CompareRequest

REPORT = {"schema": 1, "rows": [{"method": "dense"}]}
STATE = {"state": "done", "pid": 7, "progress": Progress(1.0, "end").to_json(), "error": None}
ANSWERS = Predictions(("a", "b"), torch.tensor([0, 1]), {"dense": torch.tensor([1, 1])})


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    return RunStore(tmp_path / "store")


@pytest.fixture
def run(store: RunStore) -> str:
    run_id = store.create(CompareRequest(batches=(4,)))
    for name, content in (("state.json", STATE), ("report.json", REPORT)):
        write_json(store.folder(run_id) / name, content)
    write_predictions(store.folder(run_id) / "predictions.npz", ANSWERS)
    store.rename(run_id, "mine")
    return run_id


def test_a_packed_run_comes_back_elsewhere_as_it_was(store: RunStore, run: str, tmp_path: Path):
    other = RunStore(tmp_path / "other")
    here, there = store.read(run), other.read(take_in(other, unpack(pack(store, run))))
    same = ("state", "created", "request", "progress", "error", "name", "report", "title")
    assert all(getattr(there, name) == getattr(here, name) for name in same)
    assert there.imported and not here.imported
    found = read_predictions(other.folder(there.id) / "predictions.npz")
    assert torch.equal(found.labels, ANSWERS.labels)


def test_a_run_that_comes_twice_is_two_runs(store: RunStore, run: str):
    again = take_in(store, unpack(pack(store, run)))
    assert again != run and len(store.list()) == 2


def test_a_run_that_goes_on_is_not_packed(store: RunStore):
    with pytest.raises(StoreError, match="goes on"):
        pack(store, store.create(CompareRequest()))


Change = Callable[[dict[str, bytes]], None]


def sets(name: str, content: bytes | dict[str, Any]) -> Change:
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    return lambda files: files.update({name: raw})


def arrays(**named: np.ndarray) -> bytes:
    made = io.BytesIO()
    np.savez_compressed(made, **named)
    return made.getvalue()


def claiming(shape: tuple[int, ...]) -> bytes:
    """An archive of arrays whose header asks for more than follows."""
    header, made = io.BytesIO(), io.BytesIO()
    layout = {"descr": "<i8", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(header, layout)
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("labels.npy", header.getvalue())
    return made.getvalue()


DEEP = b"[" * 950 + b"]" * 950  # that json.loads still takes
CLASSES = np.array(["a", "b"])
ODD: dict[str, Change] = {
    "another file": sets("run.sh", b"rm"),
    "a way out": sets("../report.json", b"{}"),
    "an absolute way out": sets("/etc/report.json", b"{}"),
    "no report": lambda files: files.pop("report.json") and None,
    "no JSON": sets("report.json", b"{"),
    "deep JSON": sets("report.json", b"[" * 200_000),
    "JSON of many levels": sets("report.json", b'{"schema": 1, "rows": [], "note": %s}' % DEEP),
    "a request of many levels": sets(
        "request.json", b'{"created": "2026-11-25", "request": {"spec": {"pattern": %s}}}' % DEEP
    ),
    "a list": sets("report.json", b"[]"),
    "another schema": sets("report.json", {"schema": 2, "rows": []}),
    "a queued run": sets("state.json", STATE | {"state": "queued"}),
    "a state of no kind": sets("state.json", {"state": ["done"]}),
    "an error of no kind": sets("state.json", STATE | {"error": {}}),
    "a name of no kind": sets("name.json", {"name": 5}),
    "a long name": sets("name.json", {"name": "x" * (1 << 15)}),
    "no date": sets("request.json", {"created": "now", "request": {}}),
    "an unknown model": sets("request.json", {"created": "2026-11-25", "request": {"model": "lenet"}}),
    "unknown fields": sets("request.json", {"created": "2026-11-25", "request": {"warp": 9}}),
    "another kind": sets(
        "request.json", {"created": "2026-11-25", "request": DeviceRequest(tile=32).to_json()}
    ),
    "a picture from elsewhere": sets("report.json", REPORT | {"note": ["![x](http://x)"]}),
    "a picture in a name": sets("name.json", {"name": "![x][y]"}),
    "no arrays": sets("predictions.npz", b"PK"),
    "objects": sets("predictions.npz", arrays(labels=np.array([{}], dtype=object))),
    "huge arrays": sets("predictions.npz", claiming((2**40,))),
    "no labels": sets("predictions.npz", arrays(classes=CLASSES)),
    "wrong classes": sets("predictions.npz", arrays(classes=CLASSES, labels=np.array([2]))),
    "unequal answers": sets(
        "predictions.npz",
        arrays(classes=CLASSES, labels=np.array([1]), **{"row:dense": np.array([1, 1])}),
    ),
}


def packed(files: dict[str, bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return made.getvalue()


def files_of(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_the_archive_is_taken_in_as_long_as_it_is_not_changed(store: RunStore, run: str):
    assert unpack(packed(files_of(pack(store, run)))).request == CompareRequest(batches=(4,))


@pytest.mark.parametrize("how", ODD)
def test_an_archive_of_a_stranger_is_refused_in_words(store: RunStore, run: str, how: str):
    files = files_of(pack(store, run))
    ODD[how](files)
    with pytest.raises(BcbpError, match=r"Expected|Unknown field"):
        unpack(packed(files))
    assert len(store.list()) == 1


@pytest.mark.parametrize("content", [b"", b"PK\x05\x06", b"not a zip at all" * 9])
def test_a_file_that_is_no_archive_is_refused(content: bytes):
    with pytest.raises(StoreError, match=r"zip|exported run"):
        unpack(content)


def test_a_bomb_is_refused_before_it_is_unpacked(monkeypatch: pytest.MonkeyPatch):
    bomb = packed({"request.json": b"{}", "state.json": b"{}", "report.json": b" " * (65 << 20)})
    assert len(bomb) < 1 << 20
    monkeypatch.setattr(zipfile.ZipFile, "read", lambda *_: pytest.fail("it was unpacked"))
    with pytest.raises(StoreError, match="at most"):
        unpack(bomb)


def test_a_file_that_is_too_large_is_refused():
    with pytest.raises(StoreError, match="at most 128 MB"):
        unpack(bytes(LARGEST + 1))


def test_a_twin_is_refused(store: RunStore, run: str):
    files, made = files_of(pack(store, run)), io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("report.json", b"{}")
    with pytest.raises(StoreError, match="each once"):
        unpack(made.getvalue())


def test_bytes_that_changed_on_the_way_are_noticed_wherever_they_are(store: RunStore, run: str):
    whole = pack(store, run)
    for at in range(0, len(whole), 7):
        broken = bytearray(whole)
        broken[at] ^= 0xFF
        try:
            assert unpack(bytes(broken)).report == REPORT  # a byte that nothing depends on
        except BcbpError:
            continue
