from __future__ import annotations

import torch
from torch import Tensor, nn

from bcbp.choice import LayerRun
from bcbp.contestants import (
    Contestant,
    _checked,
    dense_contestants,
    engine_label,
    pruned_contestant,
    relative_error,
)
from bcbp.planning import make_plan
from bcbp.runtime import CPU_TOLERANCE, CpuRuntime
from bcbp.spec import PruneSpec
from tests.bcbp.small import small_model, use_small_model


def test_a_network_that_computes_something_else_is_not_timed():
    """The negative control of the check: off by a hundredth of the largest output, and of another shape."""
    module, x = nn.Identity(), torch.ones(2, 3)
    offered = {"right": lambda t: t + CPU_TOLERANCE / 2, "off": lambda t: t + 0.01, "cut": lambda t: t[:, :2]}
    kept, wrong = _checked(
        [Contestant(name, run, "x") for name, run in offered.items()], module, x, CpuRuntime()
    )
    assert [one.name for one in kept] == ["right"]
    assert set(wrong) == {"off", "cut"} and "0.01" in wrong["off"] and "not timed" in wrong["cut"]


def test_not_a_number_is_wrong():
    def broken(t: Tensor) -> Tensor:
        return t * torch.nan

    kept, wrong = _checked([Contestant("nan", broken, "x")], nn.Identity(), torch.ones(2, 3), CpuRuntime())
    assert not kept and "nan" in wrong


def test_the_error_is_relative_to_the_largest_output():
    assert abs(relative_error(torch.tensor([0.0, 99.0]), torch.tensor([1.0, 100.0])) - 0.01) < 1e-6


def test_every_dense_form_gives_the_same_output(monkeypatch):
    model = use_small_model(monkeypatch)
    found, declined = dense_contestants(model, torch.randn(2, 1, 28, 28), CpuRuntime())
    assert {one.name for one in found} - {"cpu-tiles"} == {"eager", "channels_last", "prepacked"}
    assert declined.keys() <= {"cpu-tiles"}


def test_filter_pruning_runs_as_a_smaller_network_and_the_others_on_engines(monkeypatch):
    model, x = use_small_model(monkeypatch), torch.randn(1, 1, 28, 28)
    for method, words in (("filter", "physically smaller"), ("bcbp", "cpu-tiles"), ("block", "cpu-tiles")):
        plan = make_plan(model, PruneSpec(pattern=method, tile=16))
        (contestant,), wrong = pruned_contestant(model, plan, x, CpuRuntime())
        assert not wrong and contestant.name == f"{method} 0.5"
        assert words in contestant.engine or "dense" in contestant.engine
        assert contestant.layers and contestant.speed_claim


def test_the_label_counts_engines_over_the_planned_layers_only():
    plan = make_plan(small_model(), PruneSpec(tile=16))
    names = [layer.name for layer in plan]
    sparse = tuple(LayerRun(name, "cpu-tiles", "") for name in names)
    stem = (LayerRun("conv1", "dense", "not pruned"),)
    assert engine_label(stem + sparse, plan) == "cpu-tiles"
    mixed = (LayerRun(names[0], "dense", "faster"), *sparse[1:])
    count = len(names)
    assert engine_label(stem + mixed, plan) == f"cpu-tiles ({count - 1} of {count} layers), dense (1)"


def test_a_time_of_the_reference_engine_is_no_speed_claim():
    runs = (LayerRun("a", "cpu-tiles", ""), LayerRun("b", "reference", ""))
    assert not Contestant("bcbp", lambda t: t, "x", runs).speed_claim
    assert Contestant("bcbp", lambda t: t, "x", runs[:1]).speed_claim
