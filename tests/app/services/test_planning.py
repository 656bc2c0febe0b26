"""Caches are shared by all sessions: what they hold must not depend on who asks, or when."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.services import models, planning, stores
from bcbp.calibration import ModelStats, collect
from bcbp.data import ImageSet
from bcbp.intake.architectures import load_model
from bcbp.intake.model import LoadedModel
from bcbp.measured import Measured
from bcbp.passport_store import PassportStore
from bcbp.plan import PruningPlan
from bcbp.planning import Planner
from bcbp.sensitivity import Scan, ScanStore
from bcbp.spec import PruneSpec
from tests.bcbp.intake.picture_zips import folders, picture
from tests.bcbp.measurements import scan_of


def test_equal_requests_share_a_plan_and_others_do_not() -> None:
    first = planning.plan("sample", PruneSpec(ratio=0.5))
    assert planning.plan("sample", PruneSpec(ratio=0.5)) is first
    assert planning.plan("sample", PruneSpec(ratio=0.51)) is not first


def test_what_is_left_of_the_work_follows_the_plan() -> None:
    plan = planning.plan("sample", PruneSpec(ratio=0.5))
    assert 0.5 < planning.macs_left("sample", plan) < 0.52


def test_calibration_runs_once_for_every_tile_and_never_for_weights_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []

    def collected(needs: str, model: LoadedModel, images: ImageSet) -> ModelStats:
        asked.append(needs)
        return collect(needs, model, images.head(8))

    monkeypatch.setattr(planning, "collect", collected)
    planning._stats.clear()
    planning.planner("sample", "l2", 64)
    assert asked == []
    for tile in (32, 64):
        planning.planner("sample", "activation", tile)
    assert asked == ["inputs"]
    planning._planner.clear()
    planning._stats.clear()


def test_a_folder_whose_files_change_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "mine"
    for name, content in folders(classes=tuple("abcdefghij")).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    monkeypatch.setattr(
        planning, "collect", lambda needs, model, images: collect(needs, model, images.head(4))
    )

    def seen() -> tuple[LoadedModel, Planner, PruningPlan]:
        spec = PruneSpec(criterion="activation")
        return (
            models.with_images("sample", str(folder)),
            planning.planner("sample", spec.criterion, spec.tile, str(folder)),
            planning.plan("sample", spec, str(folder)),
        )

    first = seen()
    assert all(again is one for again, one in zip(seen(), first, strict=True))
    weights_alone = planning.planner("sample", "l2", 32, str(folder))
    (folder / "a" / "new.png").write_bytes(picture(seed=9))
    second = seen()
    assert second[0].images_digest != first[0].images_digest
    assert not any(one is other for one, other in zip(first, second, strict=True))
    assert planning.planner("sample", "l2", 32, str(folder)) is weights_alone


def test_a_plan_goes_by_what_is_measured_by_now(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, whole = ScanStore(home), scan_of(load_model("sample"))
    monkeypatch.setattr(stores, "scans", lambda: store)
    monkeypatch.setattr(stores, "passports", lambda: PassportStore(home))
    layers, ratios = {row.layer for row in whole}, []
    half = Scan(whole.key, whole.correct)
    for row in [one for one in whole if one.layer in sorted(layers)[: len(layers) // 2]]:
        half = half.with_row(row)
    for scan in (half, whole):
        store.write(scan)
        plan = planning.plan("sample", PruneSpec(allocation="sensitivity"))
        ratios.append({layer.name: layer.ratio for layer in plan})
    alone = planning.planner("sample", "l2", 32).plan(PruneSpec(allocation="sensitivity"), Measured(whole))
    assert ratios[0] != ratios[1] == {layer.name: layer.ratio for layer in alone}


def test_the_expected_engine_has_a_reason() -> None:
    plan = planning.plan("sample", PruneSpec(ratio=0.5))
    engine, reason = planning.expected_engine("sample", plan.layers[0])
    assert engine in ("cpu-tiles", "dense") and reason
    whole = planning.plan("sample", PruneSpec(ratio=0.0))
    assert planning.expected_engine("sample", whole.layers[0])[0] == engine  # timed against dense like any
