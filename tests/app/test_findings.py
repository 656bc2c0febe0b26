"""The verdict is what the figures allow, no more."""

from __future__ import annotations

import pytest

from app import findings
from app.findings import BETTER, UNCLEAR, WAITING, WORSE, Finding
from app.services import METHOD_TITLES
from bcbp.request import CompareRequest
from tests.app.stored_runs import report


@pytest.fixture(scope="module")
def full() -> dict[str, object]:
    return report()


def rows_of(made: dict[str, object], batch: str | None = "1") -> tuple[Finding, ...]:
    return findings.findings(made, batch=batch, titles=METHOD_TITLES)


@pytest.mark.parametrize(
    ("method", "mood", "start"),
    [
        ("bcbp", BETTER, "Yes: BCBP is 1.83×"),
        ("filter", WORSE, "No, not on this device: Filter is 0.87×"),
        ("block", UNCLEAR, "Cannot tell"),
    ],
)
def test_better_worse_and_cannot_tell(full: dict[str, object], method: str, mood: str, start: str) -> None:
    answer = findings.verdict(rows_of(full), method=method, batch="1")
    assert answer.mood == mood
    assert answer.sentence.startswith(start)
    assert "95 % interval" in answer.sentence


def test_the_cause_is_taken_from_the_figures(full: dict[str, object]) -> None:
    answer = findings.verdict(rows_of(full), method="filter", batch="1")
    assert "of the multiply-adds, at 43 % of the rate of dense (compiled)" in answer.cause


def test_layers_that_fell_back_to_dense_are_part_of_the_cause() -> None:
    made = report(CompareRequest(methods=("dense", "bcbp")))
    layer = made["rows"][1]["layers"][0]
    layer |= {"engine": "dense", "engine_reason": "dense was 1.20x faster here"}
    answer = findings.verdict(rows_of(made), method="bcbp", batch="1")
    assert "1 of 8 pruned layers ran dense (the first: dense was 1.20x faster here)." in answer.cause


def test_without_times_there_is_no_verdict(full: dict[str, object]) -> None:
    assert findings.verdict(rows_of(full, None), method="bcbp", batch="1") == WAITING
    assert findings.verdict(rows_of(full), method="2:4", batch="1") == WAITING


def test_accuracy_that_cannot_be_told_apart_is_said_so() -> None:
    made = report(CompareRequest(methods=("dense", "bcbp")))
    made["rows"][1]["accuracy_vs_dense"]["verdict"] = UNCLEAR
    assert (
        "no clear difference in accuracy"
        in findings.verdict(rows_of(made), method="bcbp", batch="1").sentence
    )


def test_batches_are_in_order_of_size(full: dict[str, object]) -> None:
    assert findings.batches(full) == ("1", "32")
    assert findings.batches({}) == ()


def test_an_unsteady_clock_is_mentioned() -> None:
    made = report(CompareRequest(methods=("dense", "bcbp")))
    made["rows"][1]["latency_ms"]["1"]["noisy"] = True
    assert "unsteady" in findings.verdict(rows_of(made), method="bcbp", batch="1").cause
