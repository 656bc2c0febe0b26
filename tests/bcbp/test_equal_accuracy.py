"""The fastest within a bound: measured rows only, and no winner that the figures do not allow."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bcbp.cli.equal_accuracy_text import equal_accuracy_text
from bcbp.equal_accuracy import Answer, Loss, equal_accuracy, sentence

TOTAL = 10_000
DENSE: dict[str, Any] = {"method": "dense", "asked_ratio": 0.0, "accuracy_vs_dense": None, "accuracy": None}


def row(
    method: str,
    ratio: float,
    *,
    lost: int,
    speedup: float,
    reach: float = 0.05,
    verdict: str = "better",
    claim: bool = True,
) -> dict[str, Any]:
    """20 images are gained, and `lost` more are lost; the speed-up's interval reaches so far each way."""
    return {
        "method": method,
        "asked_ratio": ratio,
        "accuracy": {"correct": 9000, "total": TOTAL},
        "accuracy_vs_dense": {"gained": 20, "lost": 20 + lost},
        "latency_ms": {"1": {"speed_claim": claim}},
        "speedup": {
            "1": {"value": speedup, "interval": [speedup - reach, speedup + reach], "verdict": verdict}
        },
    }


def asked(*rows: dict[str, Any], points: float = 1.0) -> Answer:
    dense = DENSE | {"latency_ms": {"1": {}}, "speedup": {"1": {"value": 1.0}}}
    answer = equal_accuracy({"rows": [dense, *rows]}, batch="1", bound=points / 100)
    assert answer is not None
    return answer


def words(*rows: dict[str, Any], points: float = 1.0) -> str:
    return sentence(asked(*rows, points=points), {"bcbp": "BCBP"})


SLOW, FAST = row("bcbp", 0.3, lost=20, speedup=1.3), row("bcbp", 0.5, lost=60, speedup=1.8)
COSTLY = row("bcbp", 0.7, lost=900, speedup=2.6)


def test_the_fastest_measured_ratio_within_the_bound_is_chosen_for_each_method():
    answer = asked(SLOW, FAST, COSTLY, row("filter", 0.3, lost=400, speedup=1.2))
    (bcbp, filters) = answer.choices
    assert (bcbp.candidate.ratio, bcbp.within) == (0.5, True)
    assert (filters.candidate.ratio, filters.within) == (0.3, False)
    assert words(SLOW, FAST, COSTLY).startswith(
        "Fastest within 1 point at batch 1: BCBP at 50 % with 1.80× (1.75×"
    )


@pytest.mark.parametrize(("allocation", "named"), [("uniform", "50 %"), ("latency", "45.14 %")])
def test_a_ratio_that_nobody_asked_for_is_not_named(allocation: str, named: str) -> None:
    rows = [DENSE | {"latency_ms": {}, "speedup": {}}, FAST | {"sparsity": 0.45139}]
    report = {"rows": rows, "request": {"spec": {"allocation": allocation}}}
    answer = equal_accuracy(report, batch="1", bound=0.01)
    assert answer is not None and f"bcbp at {named} with" in sentence(answer, {})


def test_a_wider_bound_lets_more_in():
    assert asked(SLOW, FAST, COSTLY, points=10).choices[0].candidate.ratio == 0.7
    assert asked(SLOW, FAST, COSTLY, points=0.3).choices[0].candidate.ratio == 0.3


def test_when_nothing_qualifies_the_nearest_is_named_and_nobody_wins():
    text = words(COSTLY, row("filter", 0.3, lost=400, speedup=1.2))
    assert text.startswith(
        "No method stays within 1 point here; nearest is filter at 30 %: 4.00 points lost ("
    )
    assert "cannot be told" not in text
    near = words(row("bcbp", 0.5, lost=110, speedup=1.8))
    assert "nearest is BCBP at 50 %" in near and "whether that is more than 1 point cannot be told" in near


def test_speeds_that_overlap_have_no_winner():
    text = words(FAST, row("column", 0.5, lost=50, speedup=1.75))
    assert text.startswith("Too close to call") and "BCBP at 50 %" in text and "column at 50 %" in text


def test_a_slower_ratio_of_the_same_method_is_no_rival():
    assert words(FAST, row("bcbp", 0.4, lost=50, speedup=1.78)).startswith("Fastest")


@pytest.mark.parametrize("verdict", ["cannot tell", "worse"])
def test_without_a_clear_gain_over_dense_dense_stays(verdict: str):
    assert words(row("bcbp", 0.5, lost=0, speedup=1.01, verdict=verdict)).startswith(
        "Dense stays: no method within 1 point at batch 1 is clearly faster. Fastest of them is BCBP"
    )


def test_a_time_that_cannot_be_told_from_denses_does_not_hide_one_that_is_clearly_less():
    noisy = {"lost": 0, "speedup": 1.3, "reach": 0.4, "verdict": "cannot tell"}
    sure = row("bcbp", 0.5, lost=0, speedup=1.25)
    text = words(row("filter", 0.5, **noisy), sure)
    assert text.startswith("Too close to call within 1 point at batch 1: BCBP at 50 %") and "filter" in text
    assert words(row("bcbp", 0.7, **noisy), sure).startswith(
        "Fastest within 1 point at batch 1: BCBP at 50 %"
    )


def test_times_that_claim_nothing_do_not_win():
    idle = row("block", 0.5, lost=0, speedup=3.0, claim=False)
    assert words(FAST, idle).startswith("Fastest within 1 point at batch 1: BCBP")
    assert words(idle).startswith("No speed claim")


def test_a_loss_whose_interval_has_the_bound_inside_is_flagged():
    """0.9 points lost: the interval of the paired difference reaches from about 0.7 to 1.1."""
    near = row("bcbp", 0.5, lost=90, speedup=1.8)
    (choice,) = asked(near).choices
    assert choice.within and choice.unsure and choice.words == "within, cannot tell"
    assert "BCBP at 50 % may lose more than 1 point: 0.90 points lost (" in words(near)
    assert "may lose" not in words(near, points=2)


def test_the_bound_itself_is_within_in_spite_of_floats():
    for points, lost in ((0.7, 70), (1.1, 110), (0.3, 30), (0, 0)):
        assert asked(row("bcbp", 0.5, lost=lost, speedup=2), points=points).choices[0].within


@given(st.floats(0, 0.1), st.floats(-0.1, 0.1), st.floats(0, 0.1), st.floats(0, 0.1))
def test_what_is_surely_within_is_within(bound: float, value: float, below: float, above: float):
    loss = Loss(value, (value - below, value + above))
    if loss.interval[1] <= bound:
        assert loss.within(bound) and not loss.unsure(bound)
    if loss.interval[0] > bound + 1e-9:
        assert not loss.within(bound) and not loss.unsure(bound)


def test_before_anything_is_tested_and_timed_there_is_no_answer():
    untimed = row("bcbp", 0.5, lost=0, speedup=2) | {"speedup": {}}
    untested = row("bcbp", 0.5, lost=0, speedup=2) | {"accuracy_vs_dense": None}
    report = {"rows": [DENSE | {"latency_ms": {}, "speedup": {}}, untimed, untested]}
    assert equal_accuracy(report, batch="1", bound=0.01) is None
    assert equal_accuracy_text(report, "1", 0.01) == ""


def test_the_text_has_the_sentence_and_a_line_a_method():
    dense = DENSE | {"latency_ms": {}, "speedup": {}}
    text = equal_accuracy_text({"rows": [dense, SLOW, FAST, COSTLY]}, "1", 0.01)
    first, _, line = text.splitlines()
    assert first.startswith("Fastest within 1 point") and line.split()[:3] == ["bcbp", "0.5", "0.60"]
