"""The verdict is what the figures allow, no more."""

from __future__ import annotations

import copy

import pytest

from app import findings
from app.components.ladder import lines
from app.components.results_table import results
from app.finding_figures import trade_off_figure
from app.findings import NO_CLAIM, Finding
from app.run_figures import speed_figure
from app.titles import METHOD_TITLES
from app.verdict import BETTER, COSTLY, LOST, UNCLEAR, WAITING, WORSE, untimed_verdict, verdict
from bcbp.recovery.tuning import Epoch
from bcbp.report import add_epoch
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
        ("bcbp", COSTLY, "Faster, at a cost: BCBP is 1.83×"),
        ("filter", WORSE, "No, not on this device: Filter is 0.87×"),
        ("block", UNCLEAR, "Cannot tell"),
    ],
)
def test_better_worse_and_cannot_tell(full: dict[str, object], method: str, mood: str, start: str) -> None:
    answer = verdict(rows_of(full), method=method, batch="1")
    assert answer.mood == mood
    assert answer.sentence.startswith(start)
    assert "95 % interval" in answer.sentence


def unclear(interval: tuple[float, float], control: tuple[float, float], **times: object) -> str:
    made = report(CompareRequest(methods=("dense", "bcbp"), batches=(1,)))
    dense, row = made["rows"]
    row["speedup"]["1"] = {"value": 1.21, "interval": list(interval), "verdict": "cannot tell"}
    row["latency_ms"]["1"] |= times
    dense["speedup"]["1"]["interval"] = list(control)
    return verdict(rows_of(made), method="bcbp", batch="1").sentence


def test_cannot_tell_says_the_figure_and_which_reason() -> None:
    clock = unclear((1.11, 1.64), (0.81, 1.66))
    assert clock.startswith(
        "Cannot tell: BCBP is 1.21× as fast as the best dense at batch 1 (95 % interval 1.11×"
    )
    assert "identical code was 0.81× to 1.66× as fast as itself, so this may be chance" in clock
    assert "identical code" in unclear((1.11, 1.64), (0.51, 0.95))  # by up to 1.96 either way
    assert "contains 1.00×" in unclear((0.97, 1.3), (0.81, 1.66))
    assert "3 rounds are too few" in unclear((1.11, 1.64), (0.99, 1.01), samples=[2.0, 2.0, 2.0])
    assert "do not agree" in unclear((1.11, 1.64), (0.99, 1.01))


def test_a_claim_names_what_identical_code_differs_by(full: dict[str, object]) -> None:
    answer = verdict(rows_of(full), method="bcbp", batch="1")
    assert "identical code was 0.98× to 1.02× as fast as itself, so this is not chance" in answer.cause


def test_the_interval_of_dense_is_called_the_check_of_the_clock(full: dict[str, object]) -> None:
    table = results(rows_of(full)).set_index("Method")
    assert table.loc["Dense", "95 % interval"] == "clock check: 0.98× to 1.02×"
    assert table.loc["BCBP", "95 % interval"] == "1.79× to 1.88×"
    dots = speed_figure([("mine", rows_of(full))]).data
    assert dots[0].name == "mine: Dense" and dots[0].error_x.array is None
    assert dots[-1].error_x.array is not None


def test_the_cause_is_taken_from_the_figures(full: dict[str, object]) -> None:
    answer = verdict(rows_of(full), method="filter", batch="1")
    assert "of the multiply-adds, at 43 % of the rate of dense (compiled)" in answer.cause


def test_layers_that_fell_back_to_dense_are_part_of_the_cause_at_their_batch() -> None:
    made = report(CompareRequest(methods=("dense", "bcbp")))
    reason = "dense was 1.20x faster here"
    made["rows"][1]["layers"][0]["engines"]["32"] = {"engine": "dense", "reason": reason}
    answer = verdict(rows_of(made, "32"), method="bcbp", batch="32")
    assert f"1 of 8 pruned layers ran dense (the first: {reason})." in answer.cause
    assert "Its masks leave" in answer.cause and "rate" not in answer.cause
    assert findings.layer_lines(rows_of(made, "32")[1])[0]["Why"] == reason
    first = verdict(rows_of(made), method="bcbp", batch="1")
    assert "ran dense" not in first.cause and "of the rate of" in first.cause
    assert findings.layer_lines(rows_of(made)[1])[0]["Engine"] == "cpu-tiles"


def test_runs_stored_without_engines_by_batch_still_open() -> None:
    made = report(CompareRequest(methods=("dense", "bcbp")))
    for layer in made["rows"][1]["layers"]:
        del layer["engines"]
    assert findings.layer_lines(rows_of(made)[1])[0]["Engine"] == "cpu-tiles"


def test_the_distance_to_the_limit_is_shown_and_said(full: dict[str, object]) -> None:
    rows = rows_of(full)
    table = results(rows).set_index("Method")
    assert table.loc["Dense", "Limit"] == "0.96 ms, 40 % reached"
    assert findings.limit_beside(full, rows, "bcbp") == (
        "A perfect kernel on this device (461 GFLOP/s, 21.3 GB/s) would run BCBP in 0.525 ms; "
        "this one reaches 40 %."
    )


def test_a_time_below_its_limit_is_no_percentage() -> None:
    made = report(CompareRequest(methods=("dense", "bcbp")))
    made["rows"][1]["latency_ms"]["1"]["limit_share"] = 1.5
    assert "this one took less" in findings.limit_beside(made, rows_of(made), "bcbp")


def test_runs_stored_without_a_limit_show_none() -> None:
    made = report(CompareRequest(methods=("dense", "bcbp")))
    del made["ceiling"]
    for times in (entry for row in made["rows"] for entry in row["latency_ms"].values()):
        del times["limit_ms"], times["limit_share"]
    rows = rows_of(made)
    assert "Limit" not in results(rows).columns
    assert findings.limit_beside(made, rows, "bcbp") == ""


def test_physically_smaller_layers_are_no_fallbacks() -> None:
    made = report(CompareRequest(methods=("dense", "filter")), engine="dense")
    assert "ran dense" not in verdict(rows_of(made), method="filter", batch="1").cause


def test_without_a_sparse_layer_there_is_no_speed_claim() -> None:
    made = report(CompareRequest(methods=("dense", "bcbp")), engine="dense")
    answer = verdict(rows_of(made), method="bcbp", batch="1")
    assert answer.mood == NO_CLAIM
    assert answer.sentence.startswith("No speed claim: BCBP ran on dense")
    assert "8 of 8 pruned layers ran dense (the first: asked for)." in answer.cause
    assert results(rows_of(made)).set_index("Method").loc["BCBP", "Verdict"] == NO_CLAIM


@pytest.mark.parametrize("accuracy", ["better", "cannot tell"])
def test_faster_without_a_loss_of_accuracy_is_a_plain_yes(accuracy: str) -> None:
    made = report(CompareRequest(methods=("dense", "bcbp")))
    made["rows"][1]["accuracy_vs_dense"]["verdict"] = accuracy
    answer = verdict(rows_of(made), method="bcbp", batch="1")
    assert answer.mood == BETTER and answer.sentence.startswith("Yes: BCBP is 1.83×")


def losing(images: int, *, speed: str = "better") -> dict[str, object]:
    """A report in which BCBP loses so many of 10,000 images, and gains none."""
    made = report(CompareRequest(methods=("dense", "bcbp"), batches=(1,)))
    row, dense = made["rows"][1], made["rows"][0]["accuracy"]["correct"]
    row["accuracy"]["correct"] = dense - images
    row["accuracy_vs_dense"] |= {"gained": 0, "lost": images}
    row["speedup"]["1"]["verdict"] = speed
    return made


@pytest.mark.parametrize("speed", ["better", "worse", "cannot tell"])
def test_an_accuracy_that_is_gone_is_a_no_whatever_the_speed(speed: str) -> None:
    rows = rows_of(losing(8310, speed=speed))
    answer = verdict(rows, method="bcbp", batch="1")
    assert answer.mood == LOST and answer.sentence.startswith("No: 83.10 points of accuracy lost.")
    assert "1.83× as fast" in answer.cause and "more than 5 here" in answer.cause
    assert "rounds" not in answer.cause
    assert results(rows).set_index("Method").loc["BCBP", "Verdict"] == "accuracy lost"
    assert untimed_verdict(rows, rows[1]).mood == LOST


def test_a_loss_that_may_be_within_the_limit_is_a_cost_and_no_refusal() -> None:
    """5.1 points of 10,000 images: the interval of the loss reaches below 5."""
    assert verdict(rows_of(losing(510)), method="bcbp", batch="1").mood == COSTLY
    assert verdict(rows_of(losing(600)), method="bcbp", batch="1").mood == LOST


def test_the_line_of_best_trade_offs_leaves_out_lost_accuracy() -> None:
    kept, lost = (
        trade_off_figure(rows_of(losing(images)), focus="bcbp", several=False) for images in (74, 8310)
    )
    assert kept is not None and lost is not None
    assert len(kept.data[0].x) == 2 and len(lost.data[0].x) == 1


def test_without_times_there_is_no_verdict(full: dict[str, object]) -> None:
    assert verdict(rows_of(full, None), method="bcbp", batch="1") == WAITING
    assert verdict(rows_of(full), method="2:4", batch="1") == WAITING


def test_accuracy_that_cannot_be_told_apart_is_said_so() -> None:
    made = report(CompareRequest(methods=("dense", "bcbp")))
    made["rows"][1]["accuracy_vs_dense"]["verdict"] = UNCLEAR
    assert "no clear difference in accuracy" in verdict(rows_of(made), method="bcbp", batch="1").sentence


def test_the_ladder_is_told_rung_by_rung(full: dict[str, object]) -> None:
    told = lines(rows_of(full))
    bcbp = told[told["Method"] == "BCBP"]
    assert list(bcbp["Recovery"]) == ["Masked only", "BatchNorm", "Refit + BatchNorm"]
    assert list(bcbp["Kept"]) == ["", "", "✓"]
    assert list(bcbp["± points"]) == ["", "+30.00", "+30.00"]
    assert list(bcbp["Against the rung below"])[1] == "+3100 −100, better (p < 1e-99)"
    assert list(bcbp["Time"]) == ["0.0 s", "2.5 s", "5.0 s"]
    assert "Dense" not in set(told["Method"])


def test_a_method_that_is_still_being_recovered_is_marked_and_not_judged(full: dict[str, object]) -> None:
    made = copy.deepcopy(full)
    made["finished"] = False
    ladder = made["rows"][1]["ladder"]  # type: ignore[index]
    ladder.pop()
    rows = rows_of(made)
    first, second = results(rows).iloc[1], results(rows).iloc[2]
    assert first["Against dense"] == "so far: BatchNorm" and first["± points"] == ""
    assert first["Accuracy"] and "p =" in second["Against dense"]
    assert [rung.kept for rung in rows[1].ladder] == [False, False] and rows[2].ladder[-1].kept
    assert "still to come" in untimed_verdict(rows, rows[1]).sentence


def test_the_curve_of_fine_tuning_is_told_epoch_by_epoch(full: dict[str, object]) -> None:
    made = copy.deepcopy(full)
    add_epoch(made["rows"][1], Epoch(1, 0.4, 0.9, 1880, 2000, 7.0))  # type: ignore[index]
    first, *others = rows_of(made)[1:]
    assert [(epoch.loss, epoch.validation) for epoch in first.curve] == [(0.4, 0.94)]
    assert all(row.curve == () for row in others)
    del made["rows"][1]["curve"]  # type: ignore[index]  # of an earlier version
    assert rows_of(made)[1].curve == ()


def test_runs_stored_without_a_ladder_still_open() -> None:
    made = report(CompareRequest(methods=("dense", "bcbp")))
    for row in made["rows"]:
        del row["ladder"]
    assert all(row.ladder == () for row in rows_of(made))


def test_what_a_recovery_left_out_is_a_remark() -> None:
    made = report(CompareRequest(methods=("dense", "bcbp")))
    made["rows"][1]["ladder"][2]["notes"] = ["fc is not refitted: it is too wide."]
    assert "fc is not refitted: it is too wide." in rows_of(made)[1].remarks


def test_what_a_permutation_kept_is_a_remark_and_a_column() -> None:
    made = report(CompareRequest(methods=("dense", "bcbp")))
    row = made["rows"][1]
    assert "Importance kept" not in findings.layer_lines(rows_of(made)[1])[0]
    row["importance"], row["layers"][0]["importance"] = [0.4, 0.45], [0.3, 0.36]
    told = "Importance kept: 40.0 % with filters in their own order, 45.0 % permuted."
    assert told in rows_of(made)[1].remarks
    assert findings.layer_lines(rows_of(made)[1])[0]["Importance kept"] == "30.0 → 36.0 %"


def test_batches_are_in_order_of_size(full: dict[str, object]) -> None:
    assert findings.batches(full) == ("1", "32")
    assert findings.batches({}) == ()


def test_an_unsteady_clock_is_mentioned() -> None:
    made = report(CompareRequest(methods=("dense", "bcbp")))
    made["rows"][1]["latency_ms"]["1"]["noisy"] = True
    assert "unsteady" in verdict(rows_of(made), method="bcbp", batch="1").cause


def test_rows_of_several_ratios_carry_theirs_and_can_be_looked_at_one_ratio_at_a_time() -> None:
    made = report(
        CompareRequest(methods=("dense", "bcbp", "2:4"), ratios=(0.3, 0.5), batches=()), accuracy=False
    )
    rows = rows_of(made, None)
    assert [row.title for row in rows] == ["Dense", "BCBP at 30 %", "2:4 at 50 %", "BCBP at 50 %"]
    assert [row.key for row in findings.at_ratio(rows, 0.3)] == ["dense", "bcbp 0.3", "2:4 0.5"]
    assert len(findings.at_ratio(rows, 0.5)) == 3 and findings.at_ratio(rows, None) == rows
    assert findings.ratios(made) == (0.3, 0.5) and findings.newest_ratio(rows) == 0.3


def test_one_ratio_needs_no_name(full: dict[str, object]) -> None:
    assert findings.ratios(full) == (0.5,) and rows_of(full)[1].title == "Filter"
    old = copy.deepcopy(full)
    del old["request"]["ratios"]  # type: ignore[attr-defined]
    assert findings.ratios(old) == (0.5,)
    assert findings.ratios({}) == () and findings.newest_ratio(()) is None
