"""The index of runs: faster than the folders, never otherwise than they say, and worth nothing by itself."""

from __future__ import annotations

import errno
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from bcbp.files import write_json
from bcbp.jobs import RunStore, StoreError, store
from bcbp.jobs.index import INDEX_FILE, RunIndex
from bcbp.progress import Progress
from bcbp.request import CompareRequest

ROOT = Path(__file__).resolve().parents[2]


def ended(runs: RunStore, state: str = "done") -> str:
    """A run that ended long ago."""
    run_id = runs.create(CompareRequest())
    record = {"state": state, "pid": 1, "progress": Progress(1.0, "end").to_json(), "error": None}
    write_json(runs.folder(run_id) / "state.json", record)
    age(runs, run_id)
    return run_id


def age(runs: RunStore, run_id: str) -> None:
    """Have the folder's last change an hour ago (and each time at another moment)."""
    past = time.time_ns() - 3_600_000_000_000
    os.utime(runs.folder(run_id), ns=(past, past))


@pytest.fixture
def runs(tmp_path: Path) -> RunStore:
    return RunStore(tmp_path / "store")


def unreadable(monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on no file of a run can be opened."""
    monkeypatch.setattr(store, "_read", lambda _folder: None)


def test_ended_runs_are_listed_without_opening_their_files(runs: RunStore, monkeypatch: pytest.MonkeyPatch):
    ids = [ended(runs, state) for state in ("done", "failed", "stopped", "running")]
    before = runs.list()
    unreadable(monkeypatch)
    again = RunStore(runs.root).list()
    assert again == before and {view.id for view in again} == set(ids)
    assert {view.state for view in again} == {"done", "failed", "stopped", "interrupted"}


def test_active_and_recent_runs_are_read_from_their_folders(runs: RunStore, monkeypatch: pytest.MonkeyPatch):
    queued = runs.create(CompareRequest())
    age(runs, queued)
    recent = ended(runs)
    os.utime(runs.folder(recent))
    assert {view.id for view in runs.list()} == {queued, recent}
    unreadable(monkeypatch)
    assert runs.list() == ()


def test_a_change_in_the_folder_is_seen_at_once(runs: RunStore):
    run_id = ended(runs)
    assert runs.list()[0].name == ""
    runs.rename(run_id, "before the holidays")
    assert runs.list()[0].name == runs.list()[0].title == "before the holidays"
    write_json(runs.folder(run_id) / "report.json", {"rows": []})
    assert runs.list()[0].report == {"rows": []}


def test_a_deleted_run_leaves_the_index(runs: RunStore):
    kept, gone = ended(runs), ended(runs)
    runs.list()
    runs.delete(gone)
    assert [view.id for view in runs.list()] == [kept]
    assert set(RunIndex(runs.root).known()) == {kept}


def damage(path: Path, how: str) -> None:
    if how == "missing":
        path.unlink()
    elif how == "garbage":
        path.write_bytes(os.urandom(8192))
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "another version":
        with sqlite3.connect(path) as database:
            database.execute("PRAGMA user_version = 99")
    else:
        with sqlite3.connect(path) as database:
            database.execute("UPDATE runs SET read = ?", (how,))


@pytest.mark.parametrize("how", ["missing", "garbage", "empty", "another version", "{", "{}", "[]", "null"])
def test_a_damaged_index_costs_nothing_and_is_made_again(
    runs: RunStore, how: str, monkeypatch: pytest.MonkeyPatch
):
    ids = {ended(runs) for _ in range(3)}
    before = runs.list()
    damage(runs.root / INDEX_FILE, how)
    assert RunStore(runs.root).list() == before
    runs.list()
    unreadable(monkeypatch)
    assert {view.id for view in RunStore(runs.root).list()} == ids


def test_a_store_that_cannot_be_written_is_listed(runs: RunStore, monkeypatch: pytest.MonkeyPatch):
    run_id = ended(runs)

    def refused(*_args: Any, **_options: Any) -> None:
        raise sqlite3.OperationalError("unable to open database file")

    monkeypatch.setattr(sqlite3, "connect", refused)
    assert [view.id for view in runs.list()] == [run_id]


def test_a_killed_writer_leaves_an_index_that_can_be_read(runs: RunStore):
    ids = {ended(runs) for _ in range(20)}
    script = (
        "import itertools, sys\nfrom pathlib import Path\nfrom bcbp.jobs.index import RunIndex\n"
        "index = RunIndex(Path(sys.argv[1]))\n"
        "for turn in itertools.count():\n"
        "    index.keep((f'{turn}-{n}', 0, {'x': 'y' * 500}) for n in range(200))\n"
        "    print(turn, flush=True)\n"
    )
    writer = subprocess.Popen(
        [sys.executable, "-c", script, str(runs.root)], stdout=subprocess.PIPE, cwd=ROOT
    )
    assert writer.stdout is not None
    for _ in range(3):
        writer.stdout.readline()
    os.kill(writer.pid, signal.SIGKILL)
    writer.wait()
    writer.stdout.close()
    assert {view.id for view in runs.list()} == ids
    assert set(RunIndex(runs.root).known()) == ids


@pytest.mark.parametrize("name", ["x" * 81, "a\x00b", "a\u202eb"])
def test_a_name_is_short_and_can_be_read(runs: RunStore, name: str):
    with pytest.raises(StoreError, match="printable"):
        runs.rename(ended(runs), name)


def test_a_name_can_be_taken_away_again(runs: RunStore):
    run_id = ended(runs)
    runs.rename(run_id, "  two\n words ")
    assert runs.read(run_id).name == "two words"
    runs.rename(run_id, "")
    assert runs.read(run_id).title == CompareRequest().title


def test_a_full_disk_refuses_a_name_in_one_sentence(runs: RunStore, monkeypatch: pytest.MonkeyPatch):
    run_id = ended(runs)

    def full(_handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match="the disk is full"):
        runs.rename(run_id, "x")
    assert runs.read(run_id).name == ""
