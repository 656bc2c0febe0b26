"""Several comparisons in one report: what differs and what may not be compared comes first."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from app import report_command
from app.html_report import page_of_several
from app.side_by_side import apart, beside, differences, setting_lines
from bcbp.cli import main
from bcbp.errors import SpecError
from bcbp.jobs import RunStore
from bcbp.request import CompareRequest
from tests.app.html_reports import (
    HOSTILE,
    SEVERAL,
    Outline,
    fine_tuned,
    hostile,
    one_ratio,
    sensitivity,
    several_ratios,
)
from tests.app.stored_runs import store_run


@pytest.fixture
def first() -> dict[str, Any]:
    return several_ratios()


def elsewhere(made: dict[str, Any]) -> dict[str, Any]:
    """The same on another processor, with fewer test images."""
    found = copy.deepcopy(made)
    found["environment"] |= {"cpu": "Other processor", "date": "2026-11-24T12:00:00+00:00"}
    for row in found["rows"]:
        row["accuracy"]["total"] = 9_500
    return found


def test_what_differs_and_what_may_not_be_compared_stand_before_any_figure(first: dict[str, Any]) -> None:
    text = Outline(page_of_several([("mine", first), ("yours", elsewhere(first))])).text
    told = text[: text.index("Yes") if "Yes" in text else text.index("Faster")]
    assert "Their times may not be compared; not the same: device." in told
    assert "Their accuracies may not be compared; not the same: test images." in told
    assert "Test processorOther processor" in told and "2026-11-24 12:00 UTC" in told
    assert "100009500" in told


def test_settings_are_told_apart_and_equal_ones_left_out(first: dict[str, Any]) -> None:
    wider = copy.deepcopy(first)
    wider["request"]["spec"]["tile"] = 64
    assert setting_lines([("a", first), ("b", wider)]) == [{"What": "asked: spec tile", "a": "32", "b": "64"}]
    assert apart([("a", first), ("b", wider)]) == []
    assert setting_lines([("a", first), ("b", first)]) == []
    assert "were asked the same" in Outline(page_of_several([("a", first), ("b", first)])).text


def test_other_images_of_the_same_name_are_told_apart(first: dict[str, Any]) -> None:
    first["model"]["images_digest"] = "0123456789ab"
    changed = copy.deepcopy(first)
    changed["model"]["images_digest"] = "ba9876543210"
    runs = [("a", first), ("b", changed)]
    (said,) = apart(runs)
    assert "accuracies may not be compared; not the same: images." in said
    (line,) = setting_lines(runs)
    assert line["a"].endswith("; digest 0123456") and line["b"].endswith("; digest ba98765")
    assert len(differences(runs)) == 1


def test_every_run_has_its_verdict_its_rows_its_cards_and_its_manifest(first: dict[str, Any]) -> None:
    runs = [("mine", first), ("yours", elsewhere(first))]
    outline = Outline(page_of_several(runs))
    assert outline.text.count("is 1.83× as fast as the best dense at batch 1") == 2
    for name, _ in runs:
        assert f"Manifest: {name}" in outline.text
        assert outline.text.count(f"Method card: {name}") == len(SEVERAL.batches)
    drawn = json.loads(outline.scripts["runs-1"])
    assert [trace["name"] for trace in drawn["data"]] == [
        f"{name}: {method}" for name, _ in runs for method in ("Dense", "Filter", "BCBP")
    ]
    colors = {trace["name"].split(":")[0]: trace["marker"]["color"] for trace in drawn["data"]}
    assert len(set(colors.values())) == 2


def test_a_method_has_one_line_with_a_column_for_every_run(first: dict[str, Any]) -> None:
    fewer = copy.deepcopy(first)
    fewer["rows"] = [row for row in fewer["rows"] if row["method"] != "filter"]
    lines = beside([("a", first), ("b", fewer)], "1")
    assert [(line["Method"], line["Ratio"]) for line in lines[:3]] == [
        ("Dense", "0 %"),
        ("BCBP", "30 %"),
        ("Filter", "30 %"),
    ]
    assert lines[2]["Speed, a"].endswith("×") and lines[2]["Speed, b"] == "not measured"
    assert "Speed, a" not in beside([("a", first), ("b", fewer)], None)[0]


def test_runs_without_a_shared_batch_size_are_set_by_their_accuracy(first: dict[str, Any]) -> None:
    tuned = copy.deepcopy(fine_tuned())
    tuned["request"]["batches"] = []
    for row in tuned["rows"]:
        row["latency_ms"] = row["speedup"] = {}
    outline = Outline(page_of_several([("timed", first), ("tuned", tuned)]))
    assert "No batch size was timed in all of them" in outline.text
    assert {"runs-accuracy", "losses", "validation"} <= outline.scripts.keys()
    assert [trace["name"] for trace in json.loads(outline.scripts["losses"])["data"]] == ["tuned: BCBP"]


def test_names_of_strangers_stay_words(first: dict[str, Any]) -> None:
    plain = Outline(page_of_several([("a", first), ("b", first)]))
    attacked = Outline(page_of_several([(HOSTILE, hostile(first)), (f"{HOSTILE}2", hostile(first))]))
    assert {tag for tag, _ in attacked.tags} <= {tag for tag, _ in plain.tags}
    assert attacked.count("script") == plain.count("script")


def test_what_is_no_comparison_is_refused() -> None:
    with pytest.raises(SpecError, match="Expected comparisons, to set them side by side; b is none"):
        page_of_several([("a", one_ratio()), ("b", sensitivity())])
    with pytest.raises(SpecError, match="two comparisons or more, each once"):
        page_of_several([("a", one_ratio()), ("a", one_ratio())])
    with pytest.raises(SpecError, match="two comparisons or more"):
        page_of_several([("a", one_ratio())])


def test_the_command_takes_runs_and_files_together(home: Path, tmp_path: Path, first: dict[str, Any]) -> None:
    run = store_run(home, request=CompareRequest(), made=first)
    RunStore(home).rename(run, "mine")
    (tmp_path / "theirs.json").write_text(json.dumps(elsewhere(first)))
    target = tmp_path / "out.html"
    command = ["report", run, str(tmp_path / "theirs.json"), "--out", str(target)]
    assert main(command, more=(report_command.COMMAND,)) == 0
    assert target.read_bytes() == page_of_several([("mine", first), ("theirs", elsewhere(first))])


def test_a_ratio_that_is_an_outcome_is_not_the_one_of_the_request() -> None:
    runs = []
    for title, removed in (("wide", 0.2), ("tight", 0.347)):
        made = copy.deepcopy(one_ratio())
        made["request"]["spec"]["allocation"] = "latency"
        made["rows"] = [row for row in made["rows"] if row["method"] in ("dense", "bcbp")]
        made["rows"][1]["sparsity"] = removed
        runs.append((title, made))
    found = [line["Ratio"] for line in beside(runs, "1") if line["Method"] == "BCBP"]
    assert found == ["20 %", "34.7 %"]
