"""Caches are shared by all sessions: what they hold must not depend on who asks, or when."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from app import services
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


def test_models_loaded_at_once_are_those_loaded_alone() -> None:
    alone = load_model("resnet18").digest
    names = ["resnet18", "resnet34", "resnet18", "resnet34"]
    with ThreadPoolExecutor(len(names)) as pool:
        at_once = [model.digest for model in pool.map(load_model, names)]
    assert [at_once[0], at_once[2]] == [alone, alone]


def test_equal_requests_share_a_plan_and_others_do_not() -> None:
    first = services.plan("sample", PruneSpec(ratio=0.5))
    assert services.plan("sample", PruneSpec(ratio=0.5)) is first
    assert services.plan("sample", PruneSpec(ratio=0.51)) is not first


def test_what_is_left_of_the_work_follows_the_plan() -> None:
    plan = services.plan("sample", PruneSpec(ratio=0.5))
    assert 0.5 < services.macs_left("sample", plan) < 0.52


def test_calibration_runs_once_for_every_tile_and_never_for_weights_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []

    def collected(needs: str, model: LoadedModel, images: ImageSet) -> ModelStats:
        asked.append(needs)
        return collect(needs, model, images.head(8))

    monkeypatch.setattr(services, "collect", collected)
    services._stats.clear()
    services.planner("sample", "l2", 64)
    assert asked == []
    for tile in (32, 64):
        services.planner("sample", "activation", tile)
    assert asked == ["inputs"]
    services._planner.clear()
    services._stats.clear()


def test_a_folder_whose_files_change_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "mine"
    for name, content in folders(classes=tuple("abcdefghij")).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    monkeypatch.setattr(
        services, "collect", lambda needs, model, images: collect(needs, model, images.head(4))
    )

    def seen() -> tuple[LoadedModel, Planner, PruningPlan]:
        spec = PruneSpec(criterion="activation")
        return (
            services.with_images("sample", str(folder)),
            services.planner("sample", spec.criterion, spec.tile, str(folder)),
            services.plan("sample", spec, str(folder)),
        )

    first = seen()
    assert all(again is one for again, one in zip(seen(), first, strict=True))
    weights_alone = services.planner("sample", "l2", 32, str(folder))
    (folder / "a" / "new.png").write_bytes(picture(seed=9))
    second = seen()
    assert second[0].images_digest != first[0].images_digest
    assert not any(one is other for one, other in zip(first, second, strict=True))
    assert services.planner("sample", "l2", 32, str(folder)) is weights_alone


def test_a_plan_goes_by_what_is_measured_by_now(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, whole = ScanStore(home), scan_of(load_model("sample"))
    monkeypatch.setattr(services, "scans", lambda: store)
    monkeypatch.setattr(services, "passports", lambda: PassportStore(home))
    layers, ratios = {row.layer for row in whole}, []
    half = Scan(whole.key, whole.correct)
    for row in [one for one in whole if one.layer in sorted(layers)[: len(layers) // 2]]:
        half = half.with_row(row)
    for scan in (half, whole):
        store.write(scan)
        plan = services.plan("sample", PruneSpec(allocation="sensitivity"))
        ratios.append({layer.name: layer.ratio for layer in plan})
    alone = services.planner("sample", "l2", 32).plan(PruneSpec(allocation="sensitivity"), Measured(whole))
    assert ratios[0] != ratios[1] == {layer.name: layer.ratio for layer in alone}


def test_the_expected_engine_has_a_reason() -> None:
    plan = services.plan("sample", PruneSpec(ratio=0.5))
    engine, reason = services.expected_engine("sample", plan.layers[0])
    assert engine in ("cpu-tiles", "dense") and reason
    whole = services.plan("sample", PruneSpec(ratio=0.0))
    assert services.expected_engine("sample", whole.layers[0]) == ("dense", "its mask keeps every weight")
