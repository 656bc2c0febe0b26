from __future__ import annotations

import json
from itertools import zip_longest

import torch

from bcbp.cli.report_text import latency_text, report_text
from bcbp.costs import kept_parameters, network_macs, network_parameters, removed_macs
from bcbp.evaluation import PairedTest, Quality
from bcbp.network import apply_plan
from bcbp.planning import make_plan
from bcbp.recovery.ladder import Rung
from bcbp.report import add_accuracy, add_rung, add_session, dense_row, new_report, plan_row, row_of
from bcbp.request import CompareRequest
from bcbp.rows import key_of
from bcbp.spec import PruneSpec
from bcbp.surgery import shrink
from kernels.device import environment
from kernels.roofline import Ceiling
from tests.bcbp.small import small_model

MODEL = small_model()
PLANS = {name: make_plan(MODEL, PruneSpec(pattern=name, tile=16)) for name in ("filter", "bcbp", "column")}


def times(median: float, **more: object) -> dict:
    spread = {"q1": median, "q3": median, "samples": [median] * 5, "noisy": False}
    return {"median": median, "limit_ms": 0.5, "limit_share": 0.5 / median} | spread | more


def session() -> dict:
    """A session in which eager won, filter was twice as fast, bcbp was wrong."""
    speedup = {"value": 2.0, "interval": [1.9, 2.1], "verdict": "better"}
    layers = [{"name": PLANS["filter"].layers[0].name, "engine": "dense", "reason": "not pruned"}]
    timed = times(1.0, engine="dense (prepacked)", speed_claim=True, speedup=speedup, layers=layers)
    return {
        "best_dense": "eager",
        "dense": {"eager": times(2.0), "prepacked": times(3.0)},
        "methods": {"filter 0.5": timed},
        "declined": {"bcbp 0.5": "not timed: its output is off", "compiled": "no compiler"},
        "control": {"value": 1.0, "interval": [0.98, 1.03], "off": False},
        "noisy": True,
        "load": [0.1, 0.2],
    }


def filled() -> dict:
    report = new_report(CompareRequest(), MODEL, environment())
    report["rows"] = [dense_row(MODEL), *(plan_row(MODEL, plan) for plan in PLANS.values())]
    hits = torch.tensor([True] * 9 + [False])
    add_accuracy(row_of(report, "dense"), Quality(9, 10, (0.6, 0.98), hits, hits.long()), None)
    add_accuracy(
        row_of(report, "bcbp 0.5"),
        Quality(8, 10, (0.5, 0.9), hits, hits.long()),
        PairedTest(0, 1, 1.0, "cannot tell"),
    )
    for name, correct, kept in (("none", 3, True), ("batchnorm", 8, True), ("refit", 7, False)):
        quality = Quality(correct, 10, (correct / 10 - 0.1, correct / 10 + 0.1), hits, hits.long())
        rung = Rung(name, MODEL.module, 1.5, quality, kept, notes=("fc is not refitted: too wide.",))
        add_rung(
            row_of(report, "bcbp 0.5"),
            rung,
            quality,
            None if name == "none" else PairedTest(5, 0, 0.06, "better"),
        )
    add_session(report, 1, session())
    return report


def test_a_session_is_spread_over_the_rows():
    report = filled()
    dense, smaller, bcbp = (row_of(report, name) for name in ("dense", "filter 0.5", "bcbp 0.5"))
    assert dense["latency_ms"]["1"]["engine"] == "dense (eager)"
    assert dense["speedup"]["1"] == {"value": 1.0, "interval": [0.98, 1.03], "verdict": "cannot tell"}
    assert smaller["speedup"]["1"]["value"] == 2.0 and smaller["layers"][0]["engine"] == "dense"
    assert not bcbp["latency_ms"] and "off" in bcbp["latency_reason"]["1"]
    assert [row["latency_ms"]["1"]["limit_share"] for row in (dense, smaller)] == [0.25, 0.5]
    assert "methods" not in report["latency"]["1"] and report["latency"]["1"]["best_dense"] == "eager"


def test_the_engines_of_the_first_batch_stay():
    report, later = filled(), session()
    later["methods"]["filter 0.5"]["layers"][0]["engine"] = "cpu-tiles"
    add_session(report, 32, later)
    assert row_of(report, "filter 0.5")["layers"][0]["engine"] == "dense"
    assert row_of(report, "filter 0.5")["latency_ms"].keys() == {"1", "32"}


def test_each_batch_has_its_own_engines():
    report, later = filled(), session()
    later["methods"]["filter 0.5"]["layers"][0] |= {"engine": "cpu-tiles", "reason": "faster"}
    add_session(report, 32, later)
    engines = row_of(report, "filter 0.5")["layers"][0]["engines"]
    assert {batch: run["engine"] for batch, run in engines.items()} == {"1": "dense", "32": "cpu-tiles"}
    assert row_of(report, "dense")["layers"][0]["engines"]["32"]["engine"] == "dense (eager)"


def timed_layers(method: str, *engines: str) -> dict:
    """The row of a method whose pruned layers ran on `engines`, and dense where those end."""
    report, made = filled(), session()
    pruned = [layer.name for layer in PLANS[method] if layer.ratio > 0]
    ran = zip_longest(pruned, engines[: len(pruned)], fillvalue="dense")
    layers = [{"name": name, "engine": engine, "reason": "not pruned"} for name, engine in ran]
    made["methods"] = {f"{method} 0.5": made["methods"]["filter 0.5"] | {"layers": layers}}
    add_session(report, 8, made)
    return row_of(report, f"{method} 0.5")


def test_a_time_without_any_sparse_layer_is_no_speed_claim():
    assert not timed_layers("bcbp")["latency_ms"]["8"]["speed_claim"]
    assert timed_layers("bcbp", "cpu-tiles")["latency_ms"]["8"]["speed_claim"]


def test_physically_smaller_layers_run_dense_and_claim_their_speed():
    assert timed_layers("filter")["latency_ms"]["8"]["speed_claim"]


def test_one_rung_is_kept_and_it_is_the_last_that_was_better():
    row = row_of(filled(), "bcbp 0.5")
    assert [rung["kept"] for rung in row["ladder"]] == [False, True, False]
    assert row["recovery"] == {"name": "batchnorm", "title": "BatchNorm", "seconds": 1.5}


def test_a_report_survives_json():
    report = filled()
    assert json.loads(json.dumps(report)) == report


def test_sizes_agree_with_the_networks_themselves():
    """Counted on the masked and on the smaller network, not from the plan."""
    small = shrink(MODEL.module, PLANS["filter"])
    assert kept_parameters(MODEL, PLANS["filter"]) == network_parameters(small)
    masked = apply_plan(MODEL, PLANS["bcbp"])
    zeros = sum(
        int((masked.get_submodule(layer.name).weight == 0).sum())
        - int((MODEL.module.get_submodule(layer.name).weight == 0).sum())
        for layer in PLANS["bcbp"]
    )
    assert kept_parameters(MODEL, PLANS["bcbp"]) == network_parameters(MODEL.module) - zeros


def test_multiply_accumulates_are_those_of_the_layers():
    assert network_macs(MODEL) == sum(layer.macs for layer in MODEL.layers)
    plan = PLANS["bcbp"]
    expected = sum(MODEL.layer(layer.name).macs * layer.ratio for layer in plan)
    assert abs(removed_macs(MODEL, plan) - expected) < 1


def test_the_text_says_what_was_found_and_what_was_not():
    report = filled()
    text = report_text(report)
    for words in (
        "90.00%",
        "Recovery, rung by rung",
        "+5 -0 images: better",
        "kept\n",
        "bcbp 0.5: fc is not refitted: too wide.",
        "+0 -1 images: cannot tell",
        "yardstick",
        "better",
        "dense candidates: eager 2.000 ms, prepacked 3.000 ms",
        "not timed: compiled: no compiler",
        "noisy",
        "no latency for bcbp 0.5",
        "Not finished",
        "2 threads",
    ):
        assert words in text, words
    assert "Not finished" not in report_text(report | {"finished": True})


def test_the_text_says_how_far_the_limit_is_and_what_it_is_made_of():
    report = filled() | {"ceiling": Ceiling(4e11, 2e10, 2).to_json()}
    line = next(line for line in latency_text(report, "1").splitlines() if line.startswith("filter"))
    assert line.split()[-4:] == ["0.500", "50%", "dense", "(prepacked)"]
    dense = next(line for line in latency_text(report, "1").splitlines() if line.startswith("dense "))
    assert "0.98 to 1.03" not in dense and "(0.980 to 1.030)" in latency_text(report, "1")
    assert "limit: a perfect kernel for every layer, at 400 GFLOP/s (fp32) and 20.0 GB/s" in report_text(
        report
    )


def test_what_a_latency_target_was_expected_to_bring_stands_beside_what_it_brought():
    report = filled()
    forecast = {"ms": 0.8, "dense_ms": 1.6, "batch": 1}
    row_of(report, "filter 0.5")["forecast"] = forecast
    told = "filter 0.5: predicted 0.8 of 1.6 ms (2.00x), the sum of its layers timed alone; measured 1 ms"
    assert told in latency_text(report, "1")
    row_of(report, "filter 0.5")["forecast"] = forecast | {"batch": 8}
    assert "predicted" not in latency_text(report, "1")


def test_a_row_whose_ratio_is_an_outcome_is_called_by_its_method():
    report = filled()
    report["request"] = {"spec": {"allocation": "latency"}}
    assert "filter 0.5" not in report_text(report) and "\nfilter " in report_text(report)
    report["request"]["spec"]["allocation"] = "global"
    assert "\nfilter 0.5 " in report_text(report)


def test_a_time_below_its_limit_is_explained():
    report = filled() | {"ceiling": Ceiling(4e11, 2e10, 2).to_json()}
    assert "below their limit" not in report_text(report)
    row_of(report, "filter 0.5")["latency_ms"]["1"]["limit_share"] = 1.2
    assert "Times below their limit: maps stay in a cache, or the rates were" in report_text(report)


def test_without_rates_the_text_says_why_there_is_no_limit():
    report = filled() | {"ceiling_reason": "llvmlite is not installed"}
    for row in report["rows"]:
        for times in row["latency_ms"].values():
            times |= {"limit_ms": None, "limit_share": None}
    text = report_text(report)
    assert "no limit: llvmlite is not installed" in text and "perfect kernel" not in text


def test_reports_of_old_have_no_limit_and_are_told_all_the_same():
    report = filled()
    del report["ceiling"], report["ceiling_reason"]
    for row in report["rows"]:
        for times in row["latency_ms"].values():
            del times["limit_ms"], times["limit_share"]
    text = report_text(report)
    assert "Latency at batch 1" in text and "no limit" not in text


def test_a_report_without_rows_is_still_told():
    assert "Not finished" in report_text(new_report(CompareRequest(), MODEL, environment()))


def test_what_a_permutation_kept_is_told_for_the_network_and_every_layer() -> None:
    plan = make_plan(MODEL, PruneSpec(tile=8, ratio=0.7, permute=True))
    row = plan_row(MODEL, plan)
    before, after = row["importance"]
    assert 0 < before < after < 1
    kept = [layer["importance"] for layer in row["layers"]]
    assert all(one is None or one[0] <= one[1] for one in kept) and any(kept)
    report = new_report(CompareRequest(spec=plan.spec), MODEL, environment()) | {"rows": [row]}
    told = (
        f"{key_of(row)}: importance kept: {before:.2%} with filters in their own order, {after:.2%} permuted"
    )
    assert told in report_text(report)
    assert "importance kept" not in report_text(filled())
