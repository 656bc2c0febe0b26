from __future__ import annotations

import io
import json

import pytest

from bcbp import timing, timing_child
from bcbp.errors import ModelError
from bcbp.planning import make_plan
from bcbp.request import CompareRequest
from bcbp.runtime import CpuRuntime
from bcbp.spec import PruneSpec
from tests.bcbp.small import small_model, use_small_model

REQUEST = CompareRequest(methods=("bcbp",), spec=PruneSpec(tile=16), batches=(1,), rounds=5, threads=1)


def test_a_job_survives_json():
    plans = {"bcbp 0.5": make_plan(small_model(), REQUEST.spec)}
    job = timing.TimingJob(REQUEST, plans)
    back = timing.TimingJob.from_json(json.loads(json.dumps(job.to_json())))
    assert back.request == REQUEST
    assert back.plans["bcbp 0.5"].to_json() == plans["bcbp 0.5"].to_json()


def test_no_dense_network_at_all_is_an_error_of_ours(monkeypatch):
    model = use_small_model(monkeypatch)
    monkeypatch.setattr(timing, "dense_contestants", lambda *_: ([], {"eager": "broken"}))
    with pytest.raises(ModelError, match="broken"):
        timing.time_batch(timing.TimingJob(REQUEST, {}), model, 1, runtime=CpuRuntime(), tell=lambda *_: None)


@pytest.fixture
def run_main(monkeypatch):
    """`main` with a job on stdin; gives its exit code and events."""

    def run(time_networks) -> tuple[int, list[dict]]:
        output = io.StringIO()
        monkeypatch.setattr(timing_child, "_take_stdout", lambda: output)
        monkeypatch.setattr(timing_child, "end_with_parent", lambda: None)
        monkeypatch.setattr(timing, "time_networks", time_networks)
        job = timing.TimingJob(REQUEST, {})
        monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(job.to_json()) + "\n"))
        return timing.main(), [json.loads(line) for line in output.getvalue().splitlines()]

    return run


def test_events_are_written_one_per_line(run_main):
    code, events = run_main(lambda job, emit: emit({"event": "started", "model": job.request.model}))
    assert (code, events) == (0, [{"event": "started", "model": "sample"}])


def test_an_error_of_ours_becomes_an_event(run_main):
    def fail(_job, _emit) -> None:
        raise ModelError("Expected a model; got none.")

    code, events = run_main(fail)
    assert code == 2 and events == [{"event": "error", "message": "Expected a model; got none."}]
