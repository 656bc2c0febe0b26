from __future__ import annotations

import errno
import json
import os
import threading
from pathlib import Path

import pytest

from bcbp.device_request import DeviceRequest
from bcbp.export_request import ExportRequest
from bcbp.exporting import zipped
from bcbp.files import write_json
from bcbp.jobs import RunNotFound, RunStore, StoreError
from bcbp.jobs.kinds import EXPORTED
from bcbp.jobs.lock import FileLock
from bcbp.jobs.store import default_root
from bcbp.progress import Progress, Step
from bcbp.request import CompareRequest
from bcbp.spec import PruneSpec


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    return RunStore(tmp_path / "store")


def write_state(store: RunStore, run_id: str, state: str, error: str | None = None) -> None:
    progress = Progress(0.5, "halfway", steps=(Step("halfway", "running"),))
    record = {"state": state, "pid": 1, "progress": progress.to_json(), "error": error}
    write_json(store.folder(run_id) / "state.json", record)


def test_a_new_run_is_queued_with_its_request_and_nothing_else(store: RunStore):
    request = CompareRequest(batches=(4,))
    view = store.read(store.create(request))
    assert (view.state, view.request, view.report, view.error) == ("queued", request, None, None)
    assert view.active and view.progress == Progress() and "sample" in view.title


def test_runs_are_listed_newest_first(store: RunStore):
    ids = [store.create(CompareRequest()) for _ in range(3)]
    assert [view.id for view in store.list()] == ids[::-1]


def test_an_empty_store_lists_nothing(store: RunStore):
    assert store.list() == ()


@pytest.mark.parametrize("wrong", ["", "..", "../../etc", "20261123-101010-abcdef", "x" * 500, "a/b", "."])
def test_an_unknown_or_crafted_id_is_not_found(store: RunStore, wrong: str):
    for act in (store.read, store.delete, store.ask_to_stop):
        with pytest.raises(RunNotFound):
            act(wrong)


def test_state_progress_and_error_are_what_the_worker_wrote(store: RunStore):
    run_id = store.create(CompareRequest())
    write_state(store, run_id, "failed", "no room")
    view = store.read(run_id)
    assert (view.state, view.error, view.progress.stage) == ("failed", "no room", "halfway")
    assert not view.active


def test_a_running_run_without_its_worker_was_interrupted_and_keeps_its_rows(store: RunStore):
    run_id = store.create(CompareRequest())
    write_state(store, run_id, "running")
    write_json(store.folder(run_id) / "report.json", {"rows": [{"method": "dense"}]})
    view = store.read(run_id)
    assert view.state == "interrupted" and view.error and "lost" in view.error
    assert view.report == {"rows": [{"method": "dense"}]}


def test_a_running_run_with_its_worker_is_running(store: RunStore):
    run_id = store.create(CompareRequest())
    write_state(store, run_id, "running")
    with FileLock(store.folder(run_id) / "alive.lock"):
        assert store.read(run_id).state == "running" and store.has_worker(run_id)
        with pytest.raises(StoreError, match="Stop it first"):
            store.delete(run_id)
    assert store.read(run_id).state == "interrupted" and not store.has_worker(run_id)


def test_a_queued_run_that_is_stopped_is_stopped_at_once(store: RunStore):
    run_id = store.create(CompareRequest())
    store.ask_to_stop(run_id)
    assert store.read(run_id).state == "stopped"


def test_stopping_a_run_that_is_over_changes_nothing(store: RunStore):
    run_id = store.create(CompareRequest())
    write_state(store, run_id, "done")
    store.ask_to_stop(run_id)
    assert store.read(run_id).state == "done" and not (store.folder(run_id) / "stop").exists()


def test_a_deleted_run_is_gone(store: RunStore):
    run_id = store.create(CompareRequest())
    store.delete(run_id)
    assert store.list() == () and not store.folder(run_id).exists()


def test_the_files_of_an_export_go_with_the_last_run_of_its_request(store: RunStore):
    request, other = (ExportRequest(spec=PruneSpec(ratio=ratio)) for ratio in (0.5, 0.6))
    first, second = store.create(request), store.create(request)
    store.create(other)
    for one in (request, other):
        folder = store.root / EXPORTED / one.id
        folder.mkdir(parents=True)
        (folder / "recipe.json").touch()
        zipped(folder)
    store.delete(first)
    assert len(list((store.root / EXPORTED).iterdir())) == 4
    store.delete(second)
    assert {path.name for path in (store.root / EXPORTED).iterdir()} == {other.id, f"{other.id}.zip"}


def test_a_report_is_read_again_when_it_changed(store: RunStore):
    run_id = store.create(CompareRequest())
    for rows in ([1], [1, 2]):
        write_json(store.folder(run_id) / "report.json", {"rows": rows})
        assert store.read(run_id).report == {"rows": rows}


def test_readers_never_see_half_a_report(store: RunStore):
    run_id = store.create(CompareRequest())
    seen: list[int] = []
    done = threading.Event()

    def look() -> None:
        while not done.is_set():
            report = RunStore(store.root).read(run_id).report
            if report is not None:
                seen.append(len(report["rows"]))

    reader = threading.Thread(target=look)
    reader.start()
    for count in range(1, 60):
        write_json(store.folder(run_id) / "report.json", {"rows": ["x" * 500] * count})
    done.set()
    reader.join()
    assert seen == sorted(seen)


def test_runs_of_each_kind_are_told_apart(store: RunStore):
    compared, measured = store.create(CompareRequest()), store.create(DeviceRequest(batches=(4,)))
    assert [view.id for view in store.of_kind(CompareRequest)] == [compared]
    (view,) = store.of_kind(DeviceRequest)
    assert (view.id, view.request) == (measured, DeviceRequest(batches=(4,)))
    assert len(store.list()) == 2 and store.read(measured).title == "layers of sample on cpu · tile 32"


def test_a_run_stored_before_there_were_kinds_is_a_comparison(store: RunStore):
    run_id = store.create(CompareRequest())
    path = store.folder(run_id) / "request.json"
    record = json.loads(path.read_text())
    assert record.pop("kind") == "compare"
    write_json(path, record)
    assert store.of_kind(CompareRequest)[0].id == run_id


def test_a_run_of_a_kind_that_is_not_known_is_passed_over(store: RunStore):
    run_id = store.create(CompareRequest())
    path = store.folder(run_id) / "request.json"
    write_json(path, json.loads(path.read_text()) | {"kind": "brew"})
    assert store.list() == ()


def test_a_folder_that_is_no_run_or_of_another_version_is_passed_over(store: RunStore):
    kept, newer, empty = (store.create(CompareRequest()) for _ in range(3))
    write_json(store.folder(newer) / "request.json", {"id": newer, "created": "", "request": {"warp": 9}})
    (store.folder(empty) / "request.json").unlink()
    (store.root / "runs" / "notes").mkdir()
    assert [view.id for view in store.list()] == [kept]
    with pytest.raises(RunNotFound):
        store.read(newer)


@pytest.mark.parametrize(
    "record",
    [
        {},
        {"created": "2026"},
        {"created": "2026", "request": 5},
        {"created": "2026", "request": {"model": []}},
        {"created": "2026", "request": {"methods": None}},
        {"created": "2026", "request": {"spec": {"ratios": "a"}}},
        {"request": {}},
    ],
)
def test_a_request_that_makes_no_sense_is_passed_over(store: RunStore, record: dict[str, object]):
    kept, odd = store.create(CompareRequest()), store.create(CompareRequest())
    write_json(store.folder(odd) / "request.json", record)
    assert [view.id for view in store.list()] == [kept]


def test_a_state_that_makes_no_sense_is_passed_over(store: RunStore):
    kept, odd = store.create(CompareRequest()), store.create(CompareRequest())
    write_json(store.folder(odd) / "state.json", {"state": "running", "progress": {"percent": 5}})
    assert [view.id for view in store.list()] == [kept]


def test_a_full_disk_refuses_a_new_run_in_one_sentence(store: RunStore, monkeypatch):
    def full(_handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match="the disk is full"):
        store.create(CompareRequest())
    assert store.list() == ()


def test_a_store_that_cannot_be_written_says_why(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="BCBP_HOME"):
        RunStore(tmp_path / "file").create(CompareRequest())


def test_the_default_root_follows_the_environment(monkeypatch, tmp_path: Path):
    monkeypatch.setenv("BCBP_HOME", str(tmp_path))
    assert default_root() == tmp_path
    monkeypatch.delenv("BCBP_HOME")
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert default_root() == tmp_path / "data" / "bcbp"
    monkeypatch.delenv("XDG_DATA_HOME")
    assert default_root() == Path.home() / ".local/share/bcbp"
    monkeypatch.setattr("sys.platform", "darwin")
    assert default_root() == Path.home() / "Library/Application Support/bcbp"
