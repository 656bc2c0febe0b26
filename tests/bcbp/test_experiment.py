from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from bcbp import calibration, experiment, timing
from bcbp.baselines import Declined
from bcbp.crossover import WINS
from bcbp.errors import DataError, SpecError
from bcbp.experiment import CompareRequest, compare
from bcbp.intake.model import NO_IMAGES
from bcbp.passport_store import PassportStore
from bcbp.planning import METHODS
from bcbp.predictions import Predictions
from bcbp.progress import Progress
from bcbp.rows import key_of
from bcbp.runtime import CpuRuntime
from bcbp.spec import PruneSpec
from bcbp.timing_process import TimingError
from kernels.device import environment
from kernels.measure import BETTER, CANNOT_TELL, WORSE, Stopped
from tests.bcbp.passports import model_passport
from tests.bcbp.small import CEILING, TEST_IMAGES, small_images, use_small_model

SPEC = PruneSpec(tile=16)


class Listener:
    """Keeps every event."""

    def __init__(self) -> None:
        self.progress: list[Progress] = []
        self.reports: list[dict] = []
        self.predictions: list[Predictions] = []

    def __call__(self, progress: Progress, report: dict | None) -> None:
        self.progress.append(progress)
        if report is not None:
            self.reports.append(report)


@pytest.fixture
def small(monkeypatch):
    return use_small_model(monkeypatch)


@pytest.fixture(scope="module")
def whole():
    """Every method at two batch sizes, once for this module: the report and its events."""
    listener = Listener()
    with pytest.MonkeyPatch.context() as patch:
        use_small_model(patch)
        request = CompareRequest(methods=METHODS, spec=SPEC, batches=(1, 3), rounds=5, threads=1)
        report = compare(request, on_event=listener)
    return report, listener


@pytest.fixture(scope="module")
def several():
    """Two methods at two ratios: the report and its events."""
    listener = Listener()
    with pytest.MonkeyPatch.context() as patch:
        use_small_model(patch)
        request = CompareRequest(
            methods=("filter", "bcbp"), spec=SPEC, ratios=(0.3, 0.7), batches=(1,), rounds=5, threads=1
        )
        report = compare(request, on_event=listener, on_predictions=listener.predictions.append)
    return report, listener


def test_the_report_has_the_schema_it_promises_and_is_json(whole):
    report = json.loads(json.dumps(whole[0]))
    assert report["schema"] == 1 and report["finished"] and report["environment"]["threads"] == 1
    named = {
        "method", "asked_ratio", "sparsity", "macs", "parameters", "accuracy", "latency_ms", "speedup",
        "wit_before", "wit_after", "layers",
    }  # fmt: skip
    layer = {"name", "shape", "kept", "tiles", "columns", "ratio", "engine"}
    for row in report["rows"]:
        assert named <= row.keys()
        assert all(layer <= entry.keys() for entry in row["layers"])
        assert row["accuracy"].keys() == {"correct", "total", "interval"}
        for times in row["latency_ms"].values():
            assert {"median", "q1", "q3", "samples", "engine"} <= times.keys()
            assert times["q1"] <= times["median"] <= times["q3"] and len(times["samples"]) == 5
        for speedup in row["speedup"].values():
            assert speedup.keys() == {"value", "interval", "verdict"}
            assert speedup["verdict"] in (BETTER, WORSE, CANNOT_TELL)


def test_every_method_has_a_row_and_dense_comes_first(whole):
    assert [row["method"] for row in whole[0]["rows"]] == list(METHODS)


def test_each_method_is_timed_at_each_batch_or_says_why_not(whole):
    for row in whole[0]["rows"]:
        timed, reasons = row["latency_ms"].keys(), row["latency_reason"].keys()
        assert timed | reasons == {"1", "3"} and not timed & reasons
        assert (row["method"] in CpuRuntime.no_engine) == (not timed)
        assert timed == row["speedup"].keys()


def test_engines_are_named_as_they_ran(whole):
    rows = {row["method"]: row for row in whole[0]["rows"]}
    assert rows["dense"]["latency_ms"]["1"]["engine"].startswith("dense (")
    assert "physically smaller" in rows["filter"]["latency_ms"]["1"]["engine"]
    for method in ("bcbp", "column", "block"):
        for layer in rows[method]["layers"]:
            assert layer["engine"] in ("cpu-tiles", "dense") and layer["engine_reason"]


def test_the_dense_yardstick_is_the_fastest_candidate_and_all_are_shown(whole):
    report = whole[0]
    dense = report["rows"][0]
    for batch, session in report["latency"].items():
        medians = {name: times["median"] for name, times in session["dense"].items()}
        assert set(medians) - {"cpu-tiles"} == {"eager", "channels_last", "prepacked"}
        assert "cpu-tiles" in medians or "in no layer" in session["declined"]["cpu-tiles"]
        assert session["best_dense"] == min(medians, key=medians.__getitem__)
        assert dense["latency_ms"][batch]["median"] == min(medians.values())
        assert dense["speedup"][batch]["value"] == 1 and session["control"]["value"] > 0


def test_every_time_stands_beside_the_least_this_machine_could_take(whole):
    report = whole[0]
    assert report["ceiling"] == CEILING.to_json() and report["ceiling_reason"] == ""
    timed = {row["method"]: row["latency_ms"] for row in report["rows"] if row["latency_ms"]}
    for times in (entry for batches in timed.values() for entry in batches.values()):
        assert times["limit_share"] == pytest.approx(times["limit_ms"] / times["median"])
    for batch in ("1", "3"):
        limits = {method: batches[batch]["limit_ms"] for method, batches in timed.items()}
        assert all(0 < limit < limits["dense"] for method, limit in limits.items() if method != "dense")


def test_without_the_rates_of_a_machine_times_have_no_limit(small, monkeypatch):
    def declines(_runtime) -> None:
        raise Declined("llvmlite is not installed")

    monkeypatch.setattr(CpuRuntime, "ceiling", declines)
    request = CompareRequest(methods=("bcbp",), spec=SPEC, batches=(1,), images=0, rounds=5, threads=1)
    report = compare(request, on_event=Listener())
    assert report["ceiling"] is None and report["ceiling_reason"] == "llvmlite is not installed"
    assert [row["latency_ms"]["1"]["limit_ms"] for row in report["rows"]] == [None, None]


def test_sizes_and_balance_follow_the_plans(whole):
    rows = {row["method"]: row for row in whole[0]["rows"]}
    dense = rows["dense"]
    for method, row in rows.items():
        if method != "dense":
            assert row["sparsity"] == pytest.approx(0.5, abs=0.06)
            assert row["macs"] < dense["macs"] and row["parameters"] < dense["parameters"]
    assert rows["bcbp"]["wit_after"] == 0 <= rows["column"]["wit_after"] == rows["column"]["wit_before"]
    for layer in rows["bcbp"]["layers"]:
        assert len(layer["columns"]) == layer["tiles"] and len(set(layer["columns"])) == 1


def test_accuracy_is_paired_with_dense(whole):
    rows = {row["method"]: row for row in whole[0]["rows"]}
    assert rows["dense"]["accuracy_vs_dense"] is None
    for method in set(rows) - {"dense"}:
        paired = rows[method]["accuracy_vs_dense"]
        difference = rows[method]["accuracy"]["correct"] - rows["dense"]["accuracy"]["correct"]
        assert paired["gained"] - paired["lost"] == difference
        assert rows[method]["accuracy"]["total"] == TEST_IMAGES


def test_every_rung_of_the_ladder_is_tested_and_the_best_on_validation_is_the_row(whole):
    assert whole[0]["rows"][0]["ladder"] == []
    for row in whole[0]["rows"][1:]:
        names = [rung["name"] for rung in row["ladder"]]
        assert names == ["none", "batchnorm", "refit"]
        kept = [rung for rung in row["ladder"] if rung["kept"]]
        best = max(rung["validation"]["correct"] for rung in row["ladder"])
        assert [rung["validation"]["correct"] for rung in kept] == [best]
        assert row["accuracy"] == kept[0]["accuracy"] and row["recovery"]["name"] == kept[0]["name"]
        below = None
        for rung in row["ladder"]:
            paired = rung["against_below"]
            assert (paired is None) == (below is None)
            if below is not None:
                gain = rung["accuracy"]["correct"] - below["accuracy"]["correct"]
                assert paired["gained"] - paired["lost"] == gain
            below = rung


def test_every_method_at_every_ratio_is_a_row_and_all_are_timed_in_one_session(several):
    report, _ = several
    keys = ["dense", "filter 0.3", "bcbp 0.3", "filter 0.7", "bcbp 0.7"]
    assert [key_of(row) for row in report["rows"]] == keys and report["finished"]
    assert list(report["latency"]) == ["1"]
    for row, asked in zip(report["rows"][1:], (0.3, 0.3, 0.7, 0.7), strict=True):
        assert row["sparsity"] == pytest.approx(asked, abs=0.06)
        assert row["speedup"]["1"]["verdict"] and row["accuracy_vs_dense"] and row["ladder"]
        assert len(row["latency_ms"]["1"]["samples"]) == 5


def test_the_steps_name_the_ratio(several):
    labels = [step.label for step in several[1].progress[-1].steps]
    assert sum("at 0.3: recover" in label for label in labels) == 2 == sum("at 0.7" in one for one in labels)


def test_predictions_are_those_that_the_accuracy_is_of(several):
    """They come before the report that has the accuracy, so that a kill between the two loses neither."""
    report, listener = several
    last = listener.predictions[-1]
    assert set(last.answers) == {key_of(row) for row in report["rows"]} and len(last.classes) == 10
    for row in report["rows"]:
        right = int((last.answers[key_of(row)] == last.labels).sum())
        assert (right, len(last.labels)) == (row["accuracy"]["correct"], row["accuracy"]["total"])
    tested = [sum(bool(row["accuracy"]) for row in one["rows"]) for one in listener.reports]
    known = [len(one.answers) for one in listener.predictions]
    assert known[0] == 1 and known == sorted(known) and set(tested) - {0} == set(known)


def test_stop_between_ratios_keeps_all_methods_of_the_first(small):
    listener = Listener()
    report = compare(
        CompareRequest(methods=("filter", "bcbp"), spec=SPEC, ratios=(0.3, 0.7), batches=()),
        on_event=listener,
        should_stop=lambda: bool(listener.reports) and len(listener.reports[-1]["rows"][2]["ladder"]) == 3,
    )
    assert [bool(row["accuracy"]) for row in report["rows"]] == [True, True, True, False, False]


def test_the_recovery_asked_for_is_the_highest_rung(small):
    spec = PruneSpec(tile=16, recovery="none")
    report = compare(CompareRequest(methods=("bcbp",), spec=spec, batches=()), on_event=Listener())
    assert [rung["name"] for rung in report["rows"][1]["ladder"]] == ["none"]


def test_stop_keeps_the_rungs_that_are_done(small):
    listener = Listener()
    report = compare(
        CompareRequest(methods=("filter", "bcbp"), spec=SPEC, batches=()),
        on_event=listener,
        should_stop=lambda: bool(listener.reports) and len(listener.reports[-1]["rows"][1]["ladder"]) == 2,
    )
    filters, bcbp = report["rows"][1:]
    assert not report["finished"] and [rung["name"] for rung in filters["ladder"]] == ["none", "batchnorm"]
    assert filters["accuracy"] and not bcbp["ladder"]


@pytest.mark.parametrize("criterion", ["obs", "taylor"])
def test_a_criterion_that_needs_images_gets_them(small, monkeypatch, criterion):
    monkeypatch.setattr(calibration, "load_images", small_images)
    spec = PruneSpec(tile=16, criterion=criterion)
    report = compare(CompareRequest(methods=("bcbp",), spec=spec, batches=(), images=0), on_event=Listener())
    assert report["finished"] and report["rows"][1]["sparsity"] == pytest.approx(0.5, abs=0.05)


def test_a_criterion_that_needs_images_declines_a_model_without_any(monkeypatch):
    use_small_model(monkeypatch, trained=False)
    spec = PruneSpec(tile=16, criterion="activation")
    with pytest.raises(SpecError, match="model with images to calibrate on"):
        compare(CompareRequest(methods=("bcbp",), spec=spec, batches=()), on_event=Listener())


def test_reports_grow_and_progress_never_falls(whole):
    _, listener = whole
    fractions = [progress.fraction for progress in listener.progress]
    assert fractions == sorted(fractions) and fractions[-1] == 1.0
    filled = [sum(bool(row["accuracy"]) for row in report["rows"]) for report in listener.reports]
    assert filled == sorted(filled) and 0 in filled and len(METHODS) in filled
    assert listener.reports[0]["rows"] and not listener.reports[0]["finished"]
    assert [step.state for step in listener.progress[-1].steps] == ["done"] * len(listener.progress[-1].steps)


def test_the_source_model_is_never_touched(small):
    before = {name: value.clone() for name, value in small.module.state_dict().items()}
    compare(CompareRequest(methods=("bcbp",), spec=SPEC, batches=()), on_event=Listener())
    after = small.module.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_dense_is_compared_with_even_when_it_was_not_asked_for(small):
    report = compare(CompareRequest(methods=("bcbp",), spec=SPEC, batches=()), on_event=Listener())
    assert [row["method"] for row in report["rows"]] == ["dense", "bcbp"]


def test_images_can_be_limited_or_left_out(small):
    some = compare(CompareRequest(methods=("dense",), images=50, batches=()), on_event=Listener())
    assert some["rows"][0]["accuracy"]["total"] == 50
    none = compare(CompareRequest(methods=("dense",), images=0, batches=()), on_event=Listener())
    assert none["rows"][0]["accuracy"] is None and "asked" in none["rows"][0]["accuracy_reason"]


def test_an_untrained_model_gets_no_accuracy_and_the_reason(monkeypatch):
    use_small_model(monkeypatch, trained=False)
    report = compare(CompareRequest(methods=("bcbp",), spec=SPEC, batches=()), on_event=Listener())
    for row in report["rows"]:
        assert row["accuracy"] is None and row["accuracy_reason"] == f"Random weights. {NO_IMAGES}"


@pytest.mark.parametrize(("after", "tested"), [(1, 0), (2, 1), (3, 2), (5, 2), (6, 3)])
def test_a_stopped_comparison_gives_what_it_has(small, after: int, tested: int):
    """One report for the plans, one for dense, then one for every rung of every method."""
    listener = Listener()
    report = compare(
        CompareRequest(methods=("filter", "bcbp"), spec=SPEC, batches=(1,)),
        on_event=listener,
        should_stop=lambda: len(listener.reports) >= after,
    )
    assert not report["finished"] and listener.reports[-1] == report
    found = [row["method"] for row in report["rows"] if row["accuracy"]]
    assert found == ["dense", "filter", "bcbp"][:tested]
    assert listener.progress[-1].message == "Stopped"
    assert "failed" in [step.state for step in listener.progress[-1].steps]


def test_a_failing_timing_process_leaves_the_accuracy(small, monkeypatch):
    def fail(*_args, **_options) -> None:
        raise TimingError("The timing process was ended by SIGKILL (out of memory?).")

    monkeypatch.setattr(experiment, "run_timing", fail)
    listener = Listener()
    with pytest.raises(TimingError):
        compare(CompareRequest(methods=("bcbp",), spec=SPEC, batches=(1,)), on_event=listener)
    assert all(row["accuracy"] for row in listener.reports[-1]["rows"])
    assert "SIGKILL" in listener.progress[-1].message


@pytest.fixture
def no_images(small, monkeypatch):
    def missing(*_args) -> None:
        raise DataError("Expected images; found none.")

    monkeypatch.setattr(experiment, "load_images", missing)


def test_missing_images_cost_the_accuracy_but_not_the_latency(no_images):
    report = compare(
        CompareRequest(methods=("bcbp",), spec=SPEC, batches=(1,), rounds=5), on_event=Listener()
    )
    for row in report["rows"]:
        assert row["accuracy"] is None and row["accuracy_reason"] == "Expected images; found none."
        assert row["latency_ms"]["1"]["median"] > 0


def test_a_folder_without_the_images_is_told_before_anything_is_computed(no_images):
    listener = Listener()
    with pytest.raises(DataError):
        compare(CompareRequest(methods=("bcbp",), data="somewhere"), on_event=listener)
    assert not listener.reports


def test_a_layer_that_does_not_exist_is_refused(small):
    with pytest.raises(SpecError, match="nowhere"):
        compare(
            CompareRequest(methods=("bcbp",), spec=PruneSpec(tile=16, exclude=("nowhere",))),
            on_event=Listener(),
        )


def test_the_number_of_threads_is_put_back(small):
    compare(CompareRequest(methods=("dense",), threads=1, batches=(), images=10), on_event=Listener())
    assert torch.get_num_threads() == 2


def test_stop_during_timing_keeps_what_was_timed(small, monkeypatch):
    def one_batch_then_stop(job, *, on_event, should_stop) -> None:
        first = timing.TimingJob(replace(job.request, batches=(1,)), job.plans)
        timing.time_networks(first, on_event)
        raise Stopped

    monkeypatch.setattr(experiment, "run_timing", one_batch_then_stop)
    request = CompareRequest(methods=("bcbp",), spec=SPEC, batches=(1, 3), images=0, rounds=5, threads=1)
    report = compare(request, on_event=Listener())
    assert not report["finished"] and report["rows"][1]["latency_ms"].keys() == {"1"}


def test_missing_calibration_images_alone_cost_the_accuracy_too(small, monkeypatch):
    def only_test(dataset, part: str, folder=None):
        if part == "calibration":
            raise DataError("Expected images; found none.")
        return small_images(dataset, part, folder)

    monkeypatch.setattr(experiment, "load_images", only_test)
    report = compare(CompareRequest(methods=("bcbp",), spec=SPEC, batches=()), on_event=Listener())
    assert [row["accuracy_reason"] for row in report["rows"]] == ["Expected images; found none."] * 2


def test_a_run_under_a_latency_target_carries_its_prediction(small, tmp_path):
    """The root of the runs is where the layer times lie; without them the run is refused."""
    made = replace(model_passport({0.5: WINS}, model=small, tile=16), environment=environment())
    budget = 0.8 * 2.0 * len(small.layers)
    request = CompareRequest(
        methods=("dense", "bcbp", "column"),
        spec=replace(SPEC, allocation="latency", budget_ms=budget),
        batches=(1,),
        rounds=5,
        images=0,
    )
    with pytest.raises(SpecError, match="Expected measured times"):
        compare(request, on_event=Listener(), root=tmp_path)
    PassportStore(tmp_path).write_live(made)
    report = json.loads(json.dumps(compare(request, on_event=Listener(), root=tmp_path)))
    _, balanced, column = report["rows"]
    assert balanced["forecast"]["ms"] <= budget and balanced["forecast"]["batch"] == 1
    assert column["forecast"] is None
    assert 0 < balanced["sparsity"] == pytest.approx(column["sparsity"], abs=0.01)
