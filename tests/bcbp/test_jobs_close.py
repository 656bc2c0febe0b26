"""The end of a queue, and Stop, with real workers."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from bcbp.jobs import JobQueue, RunStore
from bcbp.request import CompareRequest
from tests.bcbp.test_jobs_worker import counting_worker, rows, until

CHILD = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
open(sys.argv[1] + "/child", "w").write(str(child.pid))
child.wait()
"""


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    return RunStore(tmp_path / "store")


@pytest.mark.parametrize("behaviour", ["obedient", "deaf"])
def test_stop_comes_back_with_the_run_stopped_and_its_rows_kept(store: RunStore, behaviour: str):
    queue = JobQueue(store, command=counting_worker)
    try:
        run_id = queue.submit(CompareRequest(data=behaviour))
        until(lambda: rows(store, run_id) >= 1)
        queue.stop(run_id)
        assert store.read(run_id).state == "stopped" and rows(store, run_id) >= 1
    finally:
        queue.close()


def test_a_closed_queue_leaves_an_interrupted_run_with_its_rows_and_what_waits_to_the_next(store: RunStore):
    queue = JobQueue(store, command=counting_worker)
    first, second = (queue.submit(CompareRequest(data=words)) for words in ("endless", "brief"))
    until(lambda: rows(store, first) >= 3)
    before = rows(store, first)
    queue.close()
    view = store.read(first)
    assert view.state == "interrupted" and "server was shut down" in (view.error or "")
    assert rows(store, first) >= before and view.progress.stage == "counting"
    assert store.read(second).state == "queued"
    queue = JobQueue(store, command=counting_worker)
    try:
        until(lambda: store.read(second).state == "done")
    finally:
        queue.close()
    assert store.read(first).state == "interrupted"


def test_a_closed_queue_starts_nothing(store: RunStore):
    queue = JobQueue(store, command=counting_worker)
    queue.close()
    run_id = queue.submit(CompareRequest())
    assert store.read(run_id).state == "queued" and not (store.folder(run_id) / "log.txt").exists()


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks into /proc")
def test_what_a_worker_started_ends_with_it(store: RunStore):
    queue = JobQueue(store, command=lambda folder: [sys.executable, "-c", CHILD, str(folder)])
    run_id = queue.submit(CompareRequest())
    written = store.folder(run_id) / "child"
    until(lambda: written.exists() and written.read_text())
    queue.close()
    status = Path(f"/proc/{written.read_text()}/stat")
    until(lambda: not status.exists() or status.read_text().rsplit(")", 1)[1].split()[0] == "Z")
    assert os.path.exists(store.folder(run_id)) and store.read(run_id).state == "queued"
