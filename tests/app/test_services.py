"""Caches are shared by all sessions: what they hold must not depend on who asks, or when."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from app import services
from bcbp.calibration import ModelStats, collect
from bcbp.data import ImageSet
from bcbp.intake.architectures import load_model
from bcbp.intake.model import LoadedModel
from bcbp.spec import PruneSpec


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
    services.planner.clear()
    services._stats.clear()


def test_the_expected_engine_has_a_reason() -> None:
    plan = services.plan("sample", PruneSpec(ratio=0.5))
    engine, reason = services.expected_engine("sample", plan.layers[0])
    assert engine in ("cpu-tiles", "dense") and reason
    whole = services.plan("sample", PruneSpec(ratio=0.0))
    assert services.expected_engine("sample", whole.layers[0]) == ("dense", "its mask keeps every weight")
