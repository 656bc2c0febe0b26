"""What stored runs hold is read as seldom as it can change."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.asked import asked_of
from app.services import results
from bcbp.jobs import RunStore
from bcbp.jobs.store import ENDED
from bcbp.request import CompareRequest
from bcbp.spec import PruneSpec
from tests.app.stored_runs import store_run

REQUEST = CompareRequest(
    spec=PruneSpec(allocation="explicit", ratios=(("a", 0.8),)), methods=("dense", "bcbp")
)
REPORT = {"rows": [{"method": "bcbp", "sparsity": 0.25}]}


@pytest.mark.parametrize("state", [*ENDED, "queued"])
def test_the_report_of_a_run_that_has_ended_is_read_once(home: Path, state: str) -> None:
    run = store_run(home, state, request=REQUEST, made=REPORT)
    first, second = (RunStore(home).read(run) for _ in range(2))
    assert results.asked(first) == results.asked(second) == asked_of(first)
    assert results.asked(first)["Removed"] == "25.0 %"
    assert ("report" in vars(second)) == (state == "queued")
