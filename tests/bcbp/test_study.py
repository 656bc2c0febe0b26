"""A study: its cells, its rows, what is tested only once, and its file that the next run goes on with."""

from __future__ import annotations

import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bcbp import calibration, cli, study
from bcbp.choice import SPARSE
from bcbp.data import drawn
from bcbp.errors import SpecError
from bcbp.evaluation import accuracy
from bcbp.masking import apply_plan
from bcbp.planning import make_plan
from bcbp.recovery import batchnorm, refit
from bcbp.recovery.workshop import Workshop
from bcbp.spec import PruneSpec
from bcbp.study import (
    TORCH,
    Cell,
    Study,
    StudyRequest,
    missing,
    packed_hits,
    parse_method,
    unpacked_hits,
)
from tests.bcbp.small import TEST_IMAGES, small_images, small_model

SMALL = StudyRequest(methods=("bcbp@16", "2:4"), ratios=(0.5, 0.75), seeds=(0, 1))


@pytest.fixture
def small(monkeypatch):
    model = small_model()
    monkeypatch.setattr(study, "load_model", lambda _name: model)
    monkeypatch.setattr(study, "load_images", small_images)
    monkeypatch.setattr(study, "training_images", lambda dataset, _folder: small_images(dataset, "train"))
    monkeypatch.setattr(calibration, "load_images", small_images)
    return model


def test_a_pattern_of_one_ratio_has_one_cell_a_seed():
    cells = list(SMALL.cells())
    assert [cell for cell in cells if cell.method == "2:4"] == [
        Cell("2:4", 32, 0.5, 0),
        Cell("2:4", 32, 0.5, 1),
    ]
    assert len(cells) == 6 and {cell.seed for cell in cells[:3]} == {0}


@pytest.mark.parametrize("text", ["bcbp@15", "dense", "@32", ""])
def test_a_method_that_does_not_exist_is_refused(text):
    with pytest.raises(SpecError, match="Expected"):
        parse_method(text)


@pytest.mark.parametrize(
    "change", [{"ratios": ()}, {"seeds": (1, 1)}, {"ratios": (1.5,)}, {"criterion": "x"}]
)
def test_what_cannot_be_carried_out_is_refused_at_once(change):
    with pytest.raises(SpecError, match="Expected"):
        StudyRequest(**change)


def test_every_rung_is_a_row_and_one_of_them_is_kept(small):
    rows = Study(SMALL, workshop=Workshop()).run(Cell("bcbp", 16, 0.5, 1))
    assert [row["rung"] for row in rows] == ["none", "batchnorm", "refit"]
    assert sum(row["kept"] for row in rows) == 1
    best = max(rows, key=lambda row: row["validation"]["correct"])
    assert best["validation"] == next(row["validation"] for row in rows if row["kept"])
    for row in rows:
        assert (
            row["total"] == TEST_IMAGES
            and int(unpacked_hits(row["hits"], TEST_IMAGES).sum()) == row["correct"]
        )
        assert row["sparsity"] == pytest.approx(0.5, abs=0.01)
        assert ("errors" in row) == row["kept"]
    errors = next(row["errors"] for row in rows if row["kept"])
    assert errors.keys() == {info.name for info in small.layers} and all(0 <= e < 2 for e in errors.values())
    assert errors["fc"] > errors["conv1"] == 0  # the stem is dense and nothing pruned lies before it
    json.dumps(rows)


@pytest.mark.parametrize(("method", "runs_on"), [("bcbp", SPARSE), ("filter", SPARSE), ("2:4", TORCH)])
def test_what_is_tested_is_what_would_run_and_answers_as_the_masked_network(small, method, runs_on):
    work = Study(SMALL, workshop=Workshop())
    rows = work.run(Cell(method, 16, 0.5, 0))
    assert {row["engine"] for row in rows} == {runs_on}
    plan = make_plan(small, PruneSpec(pattern=method, ratio=0.5, tile=16))
    masked = accuracy(apply_plan(small, plan), small_images(small.dataset, "test"))
    assert unpacked_hits(rows[0]["hits"], TEST_IMAGES).equal(masked.hits)


def test_equal_networks_are_tested_once_and_other_draws_give_other_recoveries(small, monkeypatch):
    for module in (batchnorm, refit):  # of 60 images, so that another draw is another half
        monkeypatch.setattr(module, "IMAGES", 32)
    sat, sit = [], study.Exam.sit

    def noting(exam, name, module, **how):
        sat.append(name)
        return sit(exam, name, module, **how)

    monkeypatch.setattr(study.Exam, "sit", noting)
    subject = Study(SMALL, workshop=Workshop())
    first, second = subject.run(Cell("bcbp", 16, 0.5, 0)), subject.run(Cell("bcbp", 16, 0.5, 1))
    assert first[0]["hits"] == second[0]["hits"]
    assert len(sat) == len(set(sat)) == 5  # masked is the same for both; BatchNorm and refit are not


def test_the_study_goes_on_with_its_file(small, tmp_path, capsys):
    file = tmp_path / "study.json"
    command = ["study", "--methods", "bcbp@16", "--ratio", "0.5", "--json", str(file)]
    assert cli.main([*command, "--seeds", "0"]) == 0
    once = json.loads(file.read_text())
    assert cli.main([*command, "--seeds", "0,1"]) == 0
    twice = json.loads(file.read_text())
    assert twice["rows"][: len(once["rows"])] == once["rows"] and len(once["rows"]) == 4
    assert [row["seed"] for row in twice["rows"]] == [0, 0, 0, 0, 1, 1, 1]
    assert not missing(StudyRequest(methods=("bcbp@16",), ratios=(0.5,), seeds=(0, 1)), twice["rows"])
    assert "1 cells to do" in capsys.readouterr().err
    assert cli.main([*command, "--seeds", "0", "--criterion", "l1"]) == 2
    assert "Name another file" in capsys.readouterr().err


def test_a_model_without_images_is_refused(monkeypatch):
    monkeypatch.setattr(study, "load_model", lambda _name: small_model(trained=False))
    with pytest.raises(SpecError, match="sample has none"):
        Study(SMALL, workshop=Workshop())


@given(st.lists(st.booleans(), min_size=1, max_size=70))
def test_hits_survive_being_packed(hits):
    assert unpacked_hits(packed_hits(torch.tensor(hits)), len(hits)).tolist() == hits


@given(st.integers(0, 9))
def test_a_draw_is_every_image_once_in_an_order_of_its_own(seed):
    images = small_images(None, "calibration")
    order = drawn(images, seed)
    assert order.inputs().equal(drawn(images, seed).inputs())
    assert not order.labels.equal(images.labels) and order.labels.sort().values.equal(
        images.labels.sort().values
    )
