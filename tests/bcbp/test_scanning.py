"""Sensitivity scans: each layer alone, kept row by row, taken up again, and never on test images."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from bcbp import scanning
from bcbp.cli.sensitivity import scan_text
from bcbp.data import DataSet, ImageSet
from bcbp.errors import BcbpError, ModelError, SpecError
from bcbp.evaluation import drop_interval
from bcbp.files import write_json
from bcbp.intake.model import LoadedModel
from bcbp.jobs.kinds import KINDS
from bcbp.norms import keeps_statistics, re_estimating
from bcbp.progress import Progress
from bcbp.sensitivity import Scan, ScanKey, ScanStore
from bcbp.sensitivity_request import SensitivityRequest
from bcbp.trials import Trials
from tests.bcbp.measurements import scan_of
from tests.bcbp.small import small_images, small_model

REQUEST = SensitivityRequest(tile=8, ratios=(0.5, 0.9), images=40)


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> LoadedModel:
    made = small_model()
    monkeypatch.setattr(scanning, "load_model", lambda _name: made)
    monkeypatch.setattr(scanning, "load_images", small_images)
    return made


class Events:
    """What a scan tells; asks it to stop after so many rows."""

    def __init__(self, rows: int | None = None) -> None:
        self.last, self.reports = Progress(), [dict[str, Any]()]
        self._rows = rows

    def __call__(self, progress: Progress, report: dict[str, Any] | None) -> None:
        self.last = progress
        self.reports += [report] if report else []

    def enough(self) -> bool:
        return self._rows is not None and len(self.reports[-1].get("rows", ())) >= self._rows


def run(root: Path, events: Events, request: SensitivityRequest = REQUEST) -> Scan:
    return scanning.scan_layers(request, root=root, on_event=events, should_stop=events.enough)


def test_every_layer_is_measured_at_every_ratio(model: LoadedModel, tmp_path: Path) -> None:
    events = Events()
    scan = run(tmp_path, events)
    assert [(row.layer, row.ratio) for row in scan] == [
        (layer.name, ratio) for layer in model.layers for ratio in REQUEST.ratios
    ]
    for row in scan:
        assert row.gained is not None and row.lost is not None and row.drop is not None
        assert row.drop == (row.lost - row.gained) / 40
        assert row.interval == drop_interval(row.gained, row.lost, 40)
    assert events.last.fraction == 1
    assert Scan.from_json(events.reports[-1]) == scan
    assert scan.model == model.title and scan.environment["versions"]["torch"]


def test_a_scan_of_fewer_images_than_were_asked_for_says_how_many_there_were(
    model: LoadedModel, tmp_path: Path
) -> None:
    assert model.dataset is not None
    there = len(small_images(model.dataset, "validation"))
    scan = run(tmp_path, Events(), replace(REQUEST, images=10 * there, ratios=(0.5,)))
    assert scan.key.images == there and scan.accuracy == scan.correct / there
    assert f"{scan.accuracy:.2%} on {there} validation images" in scan_text(scan, (0.5,))


def test_a_scan_that_was_stopped_before_dense_was_tested_names_no_accuracy(
    model: LoadedModel, tmp_path: Path
) -> None:
    stopped = run(tmp_path, Events(rows=0))
    assert stopped.accuracy is None and "%" not in scan_text(stopped, (0.5,)).partition(";")[0]


def test_a_stopped_scan_keeps_its_rows_and_goes_on_from_there(model: LoadedModel, tmp_path: Path) -> None:
    first = Events(rows=5)
    stopped = run(tmp_path, first)
    assert len(stopped.rows) == 5 and first.last.message == "Stopped"
    again = Events()
    whole = run(tmp_path, again)
    assert whole.rows[:5] == stopped.rows
    assert len(again.reports) == 1 + 1 + (len(whole.rows) - 5)  # the empty one, dense, then what was missing
    assert whole == run(tmp_path / "elsewhere", Events())


def test_a_scan_keeps_the_conditions_of_its_newest_row(
    model: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run(tmp_path, Events())
    elsewhere = first.environment | {"cpu": "another"}
    monkeypatch.setattr(scanning, "environment", lambda: elsewhere)
    nothing_new = run(tmp_path, Events())
    assert nothing_new.environment == first.environment
    more = run(tmp_path, Events(), replace(REQUEST, ratios=(0.25,)))
    assert more.environment == elsewhere


def test_further_ratios_join_the_scan_and_other_images_begin_another(
    model: LoadedModel, tmp_path: Path
) -> None:
    run(tmp_path, Events())
    more = run(tmp_path, Events(), SensitivityRequest(tile=8, ratios=(0.5, 0.75), images=40))
    assert set(more.of("fc")) == {0.5, 0.75, 0.9}
    run(tmp_path, Events(), SensitivityRequest(tile=8, ratios=(0.5,), images=60))
    found = ScanStore(tmp_path).find(digest=model.digest, pattern="bcbp", tile=8)
    assert found is not None and found.key.images == 60
    assert ScanStore(tmp_path).find(digest="of another model") is None


def test_a_scan_that_has_just_begun_does_not_hide_a_whole_one(model: LoadedModel, tmp_path: Path) -> None:
    store = ScanStore(tmp_path)
    whole = scan_of(model)
    more = replace(whole, key=replace(whole.key, images=2 * whole.key.images))
    store.write(whole)
    store.write(replace(more, rows=more.rows[:5]))
    assert store.find(digest=model.digest) == whole
    store.write(more)
    assert store.find(digest=model.digest) == more


def test_scans_are_found_whatever_their_files_are_called(model: LoadedModel, tmp_path: Path) -> None:
    """Earlier versions named them otherwise: with no source, and with an empty one."""
    key = ScanKey("0" * 64, "bcbp", "l2", 32, 1000, 500, 0)
    assert key.id == "8a44240e8158"  # as it was before there were sources
    store, scan = ScanStore(tmp_path), run(tmp_path, Events(rows=1))
    store.path(scan.key).rename(tmp_path / "sensitivity" / "0123456789ab.json")
    assert store.find(digest=model.digest) == scan


def test_a_layer_that_cannot_be_pruned_is_not_measured_with_its_reason(
    model: LoadedModel, tmp_path: Path
) -> None:
    scan = run(tmp_path, Events(), SensitivityRequest(pattern="filter", tile=8, ratios=(0.5,), images=20))
    rows = {row.layer: row for row in scan}
    assert rows["stages.0.0.conv1"].drop is not None
    assert rows["fc"].drop is None
    assert "its filters stay" in rows["fc"].reason or "cannot lose filters" in rows["fc"].reason


def test_test_images_are_never_asked_for(
    model: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def noting(dataset: DataSet, part: str, folder: Path | None) -> ImageSet:
        asked.append(part)
        return small_images(dataset, part, folder)

    monkeypatch.setattr(scanning, "load_images", noting)
    run(tmp_path, Events(rows=1))
    assert set(asked) == {"validation", "calibration"}


def test_a_model_without_images_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(scanning, "load_model", lambda _name: small_model(trained=False))
    with pytest.raises(SpecError, match="Expected a model with an accuracy to lose; sample has none: Random"):
        run(tmp_path, Events())


def test_what_fails_on_the_way_is_said_and_raised(
    model: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_self: ScanStore, _scan: Scan) -> None:
        raise OSError("no room")

    monkeypatch.setattr(ScanStore, "write", full)
    events = Events()
    with pytest.raises(OSError, match="no room"):
        run(tmp_path, events)
    assert events.last.message == "no room"


class Branching(nn.Module):
    """Cannot be traced: it looks at a value."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4)
        self.second = nn.Conv2d(4, 4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm(self.first(x))
        return self.second(x if x.sum() > -1e9 else -x).flatten(1)


@pytest.mark.parametrize("make", [lambda: small_model().module, Branching], ids=["traced", "whole"])
def test_a_trial_from_a_layer_on_is_the_whole_network(make: Any) -> None:
    """The slow twin runs every network whole, from the images on."""
    module = make().eval()
    batches = list(torch.randn(6, 1, 28, 28).split(3))
    trials = Trials(module, batches)
    names = [name for name, child in module.named_modules() if isinstance(child, nn.Conv2d | nn.Linear)]
    for name in [one for one in trials._order if one in names]:
        trials.advance(name)
        changed = _changed(trials.module, name)
        norms = trials.norms_from(changed, name)
        with re_estimating(norms):
            fast = [trials.run(changed, index) for index in range(2)]
        whole = _changed(module, name)
        later = trials.norms_from(whole, name)
        with re_estimating(later), torch.no_grad():
            slow = [whole(batch) for batch in batches]
        assert all(torch.equal(one, other) for one, other in zip(fast, slow, strict=True))
        for norm, twin in zip(norms, later, strict=True):
            assert keeps_statistics(norm) and not norm.training
            assert torch.equal(norm.running_var, twin.running_var)  # type: ignore[arg-type]


def _changed(module: nn.Module, name: str) -> nn.Module:
    changed = copy.deepcopy(module)
    with torch.no_grad():
        changed.get_submodule(name).weight.mul_(0.5)  # type: ignore[union-attr,operator]
    return changed


def test_a_layer_inside_another_that_is_no_node_of_its_own_runs_whole() -> None:
    inner = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    module = nn.Sequential(nn.Linear(8, 8), inner).eval()
    x = torch.randn(2, 3, 8)
    trials = Trials(module, [x])
    trials.advance("0")
    trials.advance("1.linear1")
    with torch.no_grad():
        assert torch.equal(trials.run(trials.module, 0), module(x))


def test_a_scan_survives_json_and_a_damaged_file_is_measured_again(
    model: LoadedModel, tmp_path: Path
) -> None:
    scan, store = scan_of(model, reasons={"fc": "its tile does not fit"}), ScanStore(tmp_path)
    store.write(scan)
    assert store.read(scan.key) == scan
    for damaged in ({}, {"schema": 2}, {**scan.to_json(), "rows": [{"layer": 3}]}):
        write_json(store.path(scan.key), damaged)
        assert store.read(scan.key) is None
        assert store.find(digest=model.digest) is None


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"model": "resnet-9000"}, "Expected a model out of"),
        ({"ratios": []}, "Expected ratios between 0 and 1.*got none"),
        ({"ratios": [0.5, 1.0]}, "Expected ratios between 0 and 1.*got 0.5, 1.0"),
        ({"ratios": [0.5, 0.5]}, "Expected ratios without repetition"),
        ({"pattern": "dense"}, "Expected as pattern"),
        ({"tile": 5}, "Expected a tile"),
        ({"images": 0}, "Expected images of at least 1"),
        ({"mood": "good"}, "Unknown field in a request to scan: mood"),
    ],
)
def test_requests_that_cannot_be_carried_out_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises((SpecError, ModelError), match=message) as caught:
        SensitivityRequest.from_json(fields)
    assert isinstance(caught.value, BcbpError)


def test_a_request_survives_json_and_is_a_kind_of_job() -> None:
    assert SensitivityRequest.from_json(REQUEST.to_json()) == REQUEST
    assert KINDS["sensitivity"].request is SensitivityRequest
    assert REQUEST.title == "sensitivity of sample · bcbp · tile 8"


@given(gained=st.integers(0, 50), lost=st.integers(0, 50), more=st.integers(0, 900))
def test_the_interval_of_a_drop_holds_it_and_narrows(gained: int, lost: int, more: int) -> None:
    total = gained + lost + more + 1
    low, high = drop_interval(gained, lost, total)
    assert low <= (lost - gained) / total <= high
    wide = drop_interval(gained, lost, total)
    narrow = drop_interval(4 * gained, 4 * lost, 4 * total)
    assert narrow[1] - narrow[0] < wide[1] - wide[0]
