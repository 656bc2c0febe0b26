"""`python -m bcbp check`: what is within a limit, what decides, and the exit codes that a build goes by."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bcbp.cli import check, main
from bcbp.errors import DataError, SpecError
from bcbp.export import EXPORTS, Pruned
from bcbp.image_folder import with_image_folder
from bcbp.intake.uploads import content_id, content_of
from bcbp.limits import Limit, drop_limit, latency_limit
from bcbp.masking import apply_plan
from bcbp.planning import make_plan
from bcbp.spec import PruneSpec
from tests.bcbp.intake.picture_zips import folders, picture
from tests.bcbp.small import small_model, use_small_model

TEN = tuple(f"class {label}" for label in range(10))

numbers = st.floats(0.01, 100)


@given(numbers, numbers, numbers, numbers)
def test_the_measured_value_decides_and_strict_asks_for_certainty(a: float, b: float, c: float, most: float):
    low, value, high = sorted((a, b, c))
    limit = Limit("latency", "ms", value, (low, high), most)
    assert limit.passes(strict=False) == (value <= most + 1e-9)
    if high <= most:
        assert limit.passes(strict=True) and limit.words == "within"
    if low > most + 1e-8:
        assert not limit.passes(strict=False) and limit.words == "exceeded"
    if low <= most < high:
        assert not limit.passes(strict=True) and limit.words.endswith("cannot tell")


def row(**more: Any) -> dict[str, Any]:
    times = {"median": 1.5, "samples": [1.4, 1.5, 1.6, 1.5, 1.5]}
    tested = {"correct": 900, "total": 1000, "interval": [0.88, 0.92]}
    found = {
        "method": "bcbp",
        "latency_ms": {"8": times},
        "latency_reason": {"1": "it is too small"},
        "accuracy": tested,
        "accuracy_reason": None,
        "accuracy_vs_dense": {"gained": 3, "lost": 10, "p_value": 0.1, "verdict": "cannot tell"},
    }
    return found | more


def test_values_and_intervals_are_those_of_the_report():
    limit = latency_limit(row(), 8, 1.5)
    assert limit.value == 1.5 and limit.interval == (1.4, 1.6) and limit.within and limit.unsure
    drop = drop_limit(row(), 0.7)
    assert drop.value == pytest.approx(0.7) and drop.interval[0] < 0.7 < drop.interval[1] and drop.within


def test_what_was_not_measured_has_a_reason():
    with pytest.raises(SpecError, match="at batch 1; there is none: it is too small"):
        latency_limit(row(), 1, 1.5)
    with pytest.raises(DataError, match="there is none: no images"):
        drop_limit(row(accuracy=None, accuracy_vs_dense=None, accuracy_reason="no images"), 1.0)


@pytest.fixture
def recipe(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Of the small model, as an export writes it."""
    model = use_small_model(monkeypatch)
    monkeypatch.setattr(check, "load_model", lambda _name: model)
    plan = make_plan(model, PruneSpec(tile=8, recovery="none"))
    return EXPORTS["recipe"].write(Pruned(model, plan, apply_plan(model, plan), "none"), tmp_path)[0]


def run(recipe: Path, *options: str) -> int:
    return main(["check", str(recipe), "--rounds", "5", "--threads", "1", *options])


def test_a_network_within_its_limits_passes(recipe: Path, tmp_path: Path, capsys):
    told = tmp_path / "told.json"
    limits = ("--budget-ms", "1e6", "--max-drop", "100", "--batch", "2", "--json", str(told), "--strict")
    assert run(recipe, *limits) == 0
    out = capsys.readouterr().out
    assert "latency" in out and "accuracy lost" in out and out.count("within") == 2 and "\npassed\n" in out
    written = json.loads(told.read_text())
    assert written["passed"] and written["strict"] and set(written["report"]["latency"]) == {"2"}
    (latency, drop) = written["limits"]
    pruned = written["report"]["rows"][1]
    assert (
        latency["value"] == pruned["latency_ms"]["2"]["median"] and latency["interval"][0] <= latency["value"]
    )
    lost = pruned["accuracy_vs_dense"]["lost"] - pruned["accuracy_vs_dense"]["gained"]
    assert drop["value"] == pytest.approx(100 * lost / pruned["accuracy"]["total"])


def test_one_exceeded_limit_fails_and_only_what_is_limited_is_measured(recipe: Path, tmp_path: Path, capsys):
    told = tmp_path / "told.json"
    assert run(recipe, "--budget-ms", "1e-6", "--json", str(told)) == 1
    assert "exceeded" in (out := capsys.readouterr().out) and "\nfailed\n" in out
    written = json.loads(told.read_text())
    assert not written["passed"] and written["report"]["rows"][1]["accuracy"] is None
    assert run(recipe, "--max-drop", "100") == 0
    assert "latency" not in capsys.readouterr().out


def test_missing_images_have_a_code_of_their_own(recipe: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    from bcbp import experiment

    def missing(*_args: object) -> None:
        raise DataError("Expected images; found none.")

    monkeypatch.setattr(experiment, "load_images", missing)
    assert run(recipe, "--max-drop", "1") == 3
    assert "found none" in capsys.readouterr().err


def of_own_images(recipe: Path, folder: Path) -> None:
    """As an export writes it that was given the pictures of `folder`."""
    for name, content in folders(each=4, classes=TEN).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    images = {"data": str(folder), "digest": with_image_folder(small_model(), folder).images_digest}
    recipe.write_text(json.dumps(json.loads(recipe.read_text()) | {"images": images}))


def test_times_need_no_images_and_accuracy_the_same_ones(recipe: Path, tmp_path: Path, capsys):
    here, moved = tmp_path / "mine", tmp_path / "moved" / "mine"
    of_own_images(recipe, here)
    assert run(recipe, "--max-drop", "100") == 0
    moved.parent.mkdir()
    here.rename(moved)
    assert run(recipe, "--budget-ms", "1e6") == 0
    capsys.readouterr()
    assert run(recipe, "--max-drop", "100") == 3
    assert "there is none" in capsys.readouterr().err
    assert run(recipe, "--max-drop", "100", "--data", str(moved)) == 0
    (moved / TEN[0] / "more.png").write_bytes(picture())
    assert run(recipe, "--max-drop", "100", "--data", str(moved)) == 3
    assert "Name those of then by --data" in capsys.readouterr().err


def test_a_criterion_that_looks_at_images_keeps_them_when_only_times_are_limited(recipe: Path):
    folder = recipe.parent / "mine"
    of_own_images(recipe, folder)
    written = json.loads(recipe.read_text())
    written["spec"]["criterion"] = "activation"
    recipe.write_text(json.dumps(written))
    chosen = argparse.ArgumentParser()
    check.COMMAND.add_arguments(chosen)
    request = check.request_of(chosen.parse_args([str(recipe), "--budget-ms", "1"]))
    assert request.data == str(folder)


def test_masks_of_a_recipe_are_given_again(recipe: Path, tmp_path: Path, capsys):
    model = small_model()
    plan = make_plan(model, PruneSpec(tile=8, recovery="none"))
    (tmp_path / "other").mkdir()
    masks, other = (
        EXPORTS["masks"].write(Pruned(model, one, model.module, "none"), folder)[0]
        for one, folder in ((plan, tmp_path), (replace(plan, layers=plan.layers[1:]), tmp_path / "other"))
    )
    spec = replace(plan.spec, masks="mine-" + content_of(content_id(masks)))
    recipe.write_text(json.dumps(json.loads(recipe.read_text()) | {"spec": spec.to_json()}))
    assert run(recipe, "--budget-ms", "1e6") == 2
    assert (
        "is not on this machine. Drop the file on Tune again, or give it to --masks."
        in capsys.readouterr().err
    )
    assert run(recipe, "--budget-ms", "1e6", "--masks", str(other)) == 2
    assert "Expected with --masks the file that the recipe names, mine-" in capsys.readouterr().err
    assert run(recipe, "--budget-ms", "1e6", "--masks", str(masks)) == 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), "got neither"),
        (("--budget-ms", "0"), "above 0"),
        (("--budget-ms", "nan"), "above 0"),
        (("--max-drop", "101"), "from 0 to 100"),
        (("--max-drop", "1", "--images", "0"), "at least 1"),
        (("--budget-ms", "1", "--batch", "0"), "batch"),
    ],
)
def test_limits_that_make_no_sense_are_refused(recipe: Path, options: tuple[str, ...], words: str, capsys):
    assert run(recipe, *options) == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"spec": {"tile": []}}, "tile"),
        ({"spec": 5}, "damaged"),
        ({"tuning": 5}, "damaged"),
        ({"model": "lenet"}, "lenet"),
        ({"dense_digest": "0" * 64}, "Export it again"),
        ({"schema": 9}, "schema"),
    ],
)
def test_a_recipe_that_makes_no_sense_is_refused(recipe: Path, change: dict[str, Any], words: str, capsys):
    recipe.write_text(json.dumps(json.loads(recipe.read_text()) | change))
    assert run(recipe, "--budget-ms", "1") == 2
    error = capsys.readouterr().err
    assert error.startswith("error: Expected") and words in error and error.count("\n") == 1
