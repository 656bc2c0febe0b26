"""Workers as real processes, and their last words in this one; the comparison is a stand-in that counts."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bcbp.device_request import DeviceRequest
from bcbp.errors import DataError
from bcbp.export_request import ExportRequest
from bcbp.jobs import JobQueue, RunStore
from bcbp.jobs.kinds import KINDS, PREDICTIONS, Kind
from bcbp.jobs.lock import FileLock
from bcbp.jobs.worker import work
from bcbp.predictions import read_predictions
from bcbp.progress import Progress
from bcbp.request import CompareRequest
from bcbp.rows import key_of
from bcbp.sensitivity_request import SensitivityRequest
from bcbp.spec import PruneSpec
from tests.bcbp.small import use_small_model

ROOT = Path(__file__).resolve().parents[2]

# `data` of the request says how it behaves: "brief" ends after three rows, "deaf" never looks at Stop.
COUNTING = """
import pathlib, sys, time
from bcbp.jobs import worker
from bcbp.jobs.kinds import KINDS
from bcbp.progress import Progress
from dataclasses import replace

def count(request, *, folder, on_event, should_stop):
    rows = []
    for number in range(100_000):
        rows.append({"method": str(number)})
        on_event(Progress(number / 100_000, "counting"), {"rows": rows})
        while request.data == "deaf":
            time.sleep(1)
        if should_stop() or (request.data == "brief" and number == 2):
            return
        time.sleep(0.02)

worker.work(pathlib.Path(sys.argv[1]), kinds={"compare": replace(KINDS["compare"], run=count)})
"""


def counting_worker(folder: Path) -> list[str]:
    return [sys.executable, "-c", COUNTING, str(folder)]


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    return RunStore(tmp_path / "store")


@pytest.fixture
def start(store: RunStore) -> Iterator[Callable[[str], subprocess.Popen[bytes]]]:
    """Starts a counting worker on a run; ends those that a test leaves behind."""
    started: list[subprocess.Popen[bytes]] = []

    def begin(run_id: str) -> subprocess.Popen[bytes]:
        paths = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
        environment = {**os.environ, "PYTHONPATH": paths}
        process = subprocess.Popen(counting_worker(store.folder(run_id)), env=environment)
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.wait()


def until(true: Callable[[], object]) -> None:
    """Wait for a condition; the limit is for a broken product, not a claim about speed."""
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def rows(store: RunStore, run_id: str) -> int:
    report = store.read(run_id).report
    return len(report["rows"]) if report else 0


def test_a_killed_worker_loses_no_finished_row_and_is_shown_as_interrupted(store: RunStore, start):
    run_id = store.create(CompareRequest())
    process = start(run_id)
    until(lambda: rows(store, run_id) >= 3)
    before = rows(store, run_id)
    assert store.read(run_id).state == "running"
    process.send_signal(signal.SIGKILL)
    process.wait()
    view = store.read(run_id)
    assert view.state == "interrupted" and rows(store, run_id) >= before
    for listed in (store.list(), RunStore(store.root).list()):  # from the folders, then from the index
        assert [one.state for one in listed] == ["interrupted"] and len(listed[0].report["rows"]) >= before
    store.delete(run_id)


@pytest.mark.parametrize("behaviour", ["obedient", "deaf"])
def test_stop_ends_a_run_whether_or_not_it_listens(store: RunStore, start, behaviour: str):
    run_id = store.create(CompareRequest(data=behaviour))
    process = start(run_id)
    until(lambda: rows(store, run_id) >= 1)
    store.ask_to_stop(run_id)
    assert process.wait(timeout=60) == 0
    assert store.read(run_id).state == "stopped" and rows(store, run_id) >= 1


def test_a_queue_runs_what_waits_one_after_the_other(store: RunStore):
    queue = JobQueue(store, command=counting_worker)
    try:
        first = queue.submit(CompareRequest(data="endless"))
        second, third = (queue.submit(CompareRequest(data="brief")) for _ in range(2))
        until(lambda: store.read(first).state == "running")
        assert [queue.position(run_id) for run_id in (first, second, third)] == [0, 0, 1]
        assert store.read(second).state == "queued"
        queue.stop(first)
        until(lambda: store.read(third).state == "done")
    finally:
        queue.close()
    assert [store.read(run_id).state for run_id in (first, second)] == ["stopped", "done"]
    assert rows(store, second) == 3


def test_a_worker_that_cannot_start_fails_with_its_last_words(store: RunStore):
    command = [sys.executable, "-c", "raise SystemExit('no such thing')"]
    queue = JobQueue(store, command=lambda _: command)
    try:
        run_id = queue.submit(CompareRequest())
        until(lambda: not store.read(run_id).active)
    finally:
        queue.close()
    assert store.read(run_id).state == "failed" and "no such thing" in (store.read(run_id).error or "")


def test_a_queue_survives_what_it_cannot_start(store: RunStore, caplog):
    broken = []

    def command(folder: Path) -> list[str]:
        if not broken:
            broken.append(folder)
            raise OSError("out of handles")
        return counting_worker(folder)

    queue = JobQueue(store, command=command)
    try:
        run_id = queue.submit(CompareRequest(data="brief"))
        until(lambda: store.read(run_id).state == "done")
    finally:
        queue.close()
    assert broken and "out of handles" in caplog.text


def test_a_failed_start_is_not_held_against_a_run_that_another_worker_has_taken(store: RunStore):
    taken: list[FileLock] = []

    def command(folder: Path) -> list[str]:
        if taken:
            return counting_worker(folder)
        taken.append(FileLock(folder / "alive.lock"))
        assert taken[0].try_acquire()
        return [sys.executable, "-c", "raise SystemExit('too late')"]

    queue = JobQueue(store, command=command)
    try:
        first, second = (queue.submit(CompareRequest(data="brief")) for _ in range(2))
        until(lambda: store.read(second).state == "done")
    finally:
        queue.close()
    assert store.read(first).state == "queued"
    taken[0].release()


def comparing(run: Callable[..., None]) -> dict[str, Kind]:
    """The table of kinds with comparisons that `run` carries out."""
    return KINDS | {"compare": replace(KINDS["compare"], run=run)}


def two_rows_then(error: BaseException | None) -> dict[str, Kind]:
    def run(request, *, folder, on_event, should_stop) -> None:
        on_event(Progress(0.5, "rows"), {"rows": [1, 2]})
        if error:
            raise error

    return comparing(run)


@pytest.mark.parametrize(
    ("error", "state", "words"),
    [
        (None, "done", None),
        (DataError("Expected images; found none."), "failed", "Expected images; found none."),
        (ZeroDivisionError("by zero"), "failed", "Unexpected ZeroDivisionError: by zero"),
        (OSError(errno.ENOSPC, "No space left"), "failed", "The disk is full"),
        (PermissionError(errno.EACCES, "denied"), "failed", "Unexpected PermissionError"),
    ],
)
def test_every_way_to_end_becomes_a_state_and_keeps_the_rows(store: RunStore, error, state, words):
    run_id = store.create(CompareRequest())
    work(store.folder(run_id), kinds=two_rows_then(error))
    view = store.read(run_id)
    assert view.state == state and rows(store, run_id) == 2
    assert (view.error or "").startswith(words or "")
    assert view.progress.stage == "rows"


def test_a_disk_that_fills_up_while_writing_still_lets_the_run_say_so(store: RunStore, monkeypatch):
    """The files are as full as the reserve: once that is given up there is room for the last word."""
    run_id = store.create(CompareRequest())
    folder, sync = store.folder(run_id), os.fsync

    def run(request, *, folder, on_event, should_stop) -> None:
        on_event(Progress(0.1, "rows"), {"rows": [1, 2]})
        monkeypatch.setattr(os, "fsync", full_while_reserved)
        on_event(Progress(0.2, "more"), {"rows": [1, 2, 3]})

    def full_while_reserved(handle: int) -> None:
        if (folder / "reserve").exists():
            raise OSError(errno.ENOSPC, "No space left on device")
        sync(handle)

    work(folder, kinds=comparing(run))
    view = store.read(run_id)
    assert view.state == "failed" and "disk is full" in (view.error or "")
    assert rows(store, run_id) == 2 and not (folder / "reserve").exists()


def test_a_run_that_is_over_or_gone_is_not_run_again(store: RunStore, tmp_path: Path):
    run_id = store.create(CompareRequest())
    work(store.folder(run_id), kinds=two_rows_then(None))
    work(store.folder(run_id), kinds=two_rows_then(DataError("again")))
    assert store.read(run_id).state == "done"
    work(tmp_path / "deleted", kinds=two_rows_then(DataError("again")))


def test_a_run_that_another_worker_has_is_left_to_it(store: RunStore, monkeypatch):
    monkeypatch.setattr("bcbp.jobs.lock._PATIENCE_SECONDS", 0.1)
    run_id = store.create(CompareRequest())
    with FileLock(store.folder(run_id) / "alive.lock"):
        work(store.folder(run_id), kinds=two_rows_then(None))
    assert store.read(run_id).state == "queued" and store.read(run_id).report is None


def test_a_run_stopped_before_it_began_computes_nothing(store: RunStore):
    run_id = store.create(CompareRequest())
    store.ask_to_stop(run_id)
    work(store.folder(run_id), kinds=two_rows_then(None))
    assert store.read(run_id).state == "stopped" and store.read(run_id).report is None


def test_a_run_waits_for_the_device_and_can_be_stopped_there(store: RunStore, start):
    run_id = store.create(CompareRequest())
    with FileLock(store.root / "device.lock"):
        process = start(run_id)
        until(lambda: "Waiting" in store.read(run_id).progress.message)
        assert store.read(run_id).state == "queued"
        store.ask_to_stop(run_id)
        assert process.wait(timeout=60) == 0
    assert store.read(run_id).state == "stopped"


def test_each_kind_of_run_is_carried_out_by_its_own_line_of_the_table(store: RunStore):
    taken: list[tuple[str, object, Path]] = []

    def taker(name: str) -> Kind:
        def run(request, *, folder, on_event, should_stop) -> None:
            taken.append((name, request, folder.parent.parent))

        return replace(KINDS[name], run=run)

    requests = {
        "compare": CompareRequest(),
        "device": DeviceRequest(ratios=(0.5,)),
        "export": ExportRequest(),
        "sensitivity": SensitivityRequest(ratios=(0.5,)),
    }
    assert list(requests) == list(KINDS)
    for request in requests.values():
        work(store.folder(store.create(request)), kinds={name: taker(name) for name in KINDS})
    assert taken == [(name, request, store.root) for name, request in requests.items()]


def test_a_comparison_keeps_its_answers_beside_its_report(store: RunStore, monkeypatch):
    use_small_model(monkeypatch)
    request = CompareRequest(
        methods=("bcbp",), spec=PruneSpec(tile=16, recovery="none"), ratios=(0.3, 0.5), batches=()
    )
    run_id = store.create(request)
    work(store.folder(run_id))
    view = store.read(run_id)
    assert view.state == "done" and view.report is not None
    kept = read_predictions(store.folder(run_id) / PREDICTIONS)
    for row in view.report["rows"]:
        assert int((kept.answers[key_of(row)] == kept.labels).sum()) == row["accuracy"]["correct"]
