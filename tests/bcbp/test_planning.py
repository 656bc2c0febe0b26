"""Requests to plans: which layers are in scope, single ratios, errors, and plans as JSON."""

from __future__ import annotations

import json

import pytest
import torch
from torch import nn

from bcbp.allocation import ALLOCATIONS
from bcbp.allocation.base import weights_kept
from bcbp.criteria import CRITERIA
from bcbp.errors import SpecError
from bcbp.intake.model import LoadedModel, adopt, state_digest
from bcbp.intake.residual import ResidualNet
from bcbp.measured import TIMES
from bcbp.plan import PruningPlan
from bcbp.planning import METHODS, Planner, default_exclude, make_plan, scope
from bcbp.recovery import RECOVERIES
from bcbp.spec import PruneSpec
from tests.bcbp.measurements import measured_of


@pytest.fixture(scope="module")
def model() -> LoadedModel:
    torch.manual_seed(0)
    net = ResidualNet(in_channels=1, widths=(16, 32), blocks=(1, 1), classes=4)
    return adopt(net, name="small", input_shape=(1, 16, 16))


def test_the_stem_and_the_classifier_stay_dense_with_a_reason(model: LoadedModel) -> None:
    assert [name for name, _ in default_exclude(model)] == ["conv1", "fc"]
    plan = make_plan(model, PruneSpec(tile=8))
    assert "conv1" not in {layer.name for layer in plan}
    assert "few weights" in dict(plan.kept_dense)["conv1"]
    assert "classifier" in dict(plan.kept_dense)["fc"]


def test_an_excluded_layer_is_pruned_once_it_is_given_a_ratio(model: LoadedModel) -> None:
    plan = make_plan(model, PruneSpec(tile=8, ratios=(("fc", 0.25),)))
    assert plan["fc"].ratio == 0.25
    assert "fc" not in dict(plan.kept_dense)


def test_a_model_of_one_layer_is_pruned_as_it_is() -> None:
    single = adopt(nn.Conv2d(8, 16, 3), name="one", input_shape=(8, 6, 6))
    assert default_exclude(single) == ()
    assert make_plan(single, PruneSpec(tile=8)).sparsity == 0.5


def test_an_exclusion_in_the_request_is_kept_with_its_reason(model: LoadedModel) -> None:
    layers, left_out = scope(model, PruneSpec(exclude=("stages.0.0.conv1",)))
    assert "stages.0.0.conv1" not in {layer.name for layer in layers}
    assert dict(left_out)["stages.0.0.conv1"] == "excluded in the request"


@pytest.mark.parametrize("allocation", ALLOCATIONS)
@pytest.mark.parametrize("pattern", ["bcbp", "column", "unstructured", "block"])
def test_a_single_ratio_overrides_any_allocation(model: LoadedModel, allocation: str, pattern: str) -> None:
    budget = 10.0 if TIMES in ALLOCATIONS[allocation].reads else None
    fixed = (("stages.1.0.conv2", 0.75),)
    spec = PruneSpec(pattern, tile=16, allocation=allocation, ratios=fixed, budget_ms=budget)
    plan = make_plan(model, spec, measured_of(model, tile=16))
    assert plan["stages.1.0.conv2"].ratio == pytest.approx(0.75, abs=0.01)


def test_explicit_leaves_all_other_layers_whole(model: LoadedModel) -> None:
    plan = make_plan(model, PruneSpec(tile=8, allocation="explicit", ratios=(("stages.1.0.conv2", 0.5),)))
    assert {layer.name: layer.ratio for layer in plan if layer.ratio} == {"stages.1.0.conv2": 0.5}


def test_a_global_threshold_spares_the_layer_with_the_larger_weights(model: LoadedModel) -> None:
    scaled = ResidualNet(in_channels=1, widths=(16, 32), blocks=(1, 1), classes=4)
    scaled.load_state_dict(model.module.state_dict())
    with torch.no_grad():
        scaled.stages[1][0].conv2.weight.mul_(10)
    plan = make_plan(
        adopt(scaled, name="scaled", input_shape=(1, 16, 16)),
        PruneSpec(tile=8, ratio=0.4, allocation="global"),
    )
    ratios = {layer.name: layer.ratio for layer in plan}
    assert ratios["stages.1.0.conv2"] == 0
    assert max(ratios.values()) <= 1 - 0.1 * 0.6  # no layer keeps less than a tenth of the asked density
    assert plan.sparsity == pytest.approx(0.4, abs=0.01)


@pytest.mark.parametrize(("total", "ratio", "kept"), [(577, 0.5, 289), (100, 0.29, 71), (10, 0.0, 10)])
def test_a_ratio_becomes_weights_by_the_formula_of_the_method(total: int, ratio: float, kept: int) -> None:
    assert weights_kept(total, ratio) == kept


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (PruneSpec(pattern="dense"), r"Expected as pattern one of bcbp, column.*got 'dense'"),
        (
            PruneSpec(criterion="l3"),
            r"Expected as criterion one of l2, l1, activation, .*; got 'l3'",
        ),
        (
            PruneSpec(allocation="equal"),
            r"Expected as allocation one of uniform, global, sens.* got 'equal'",
        ),
        (
            PruneSpec(recovery="magic"),
            r"Expected as recovery one of none, batchnorm, refit, finetune; got 'magic'",
        ),
        (PruneSpec(exclude=("conv9",)), r"Expected a layer of small \(conv1, fc.*got 'conv9'"),
        (PruneSpec(ratios=(("bn1", 0.5),)), r"bn1 is not: BatchNorm2d is not a convolution"),
        (PruneSpec(ratios=(("fc", 0.5),), exclude=("fc",)), r"not both, for fc"),
    ],
)
def test_what_cannot_be_planned_is_refused(model: LoadedModel, spec: PruneSpec, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        make_plan(model, spec)


def test_nothing_left_to_prune_is_an_error(model: LoadedModel) -> None:
    everything = tuple(layer.name for layer in model.layers)
    with pytest.raises(SpecError, match="Expected at least one layer to prune in small; all are excluded"):
        make_plan(model, PruneSpec(exclude=everything))


@pytest.mark.parametrize("fields", [{"tile": 8}, {"criterion": "l1"}, {"seed": 3}])
def test_a_planner_refuses_requests_it_was_not_made_for(model: LoadedModel, fields: dict[str, int]) -> None:
    with pytest.raises(SpecError, match=f"Expected a spec with this planner's {next(iter(fields))}"):
        Planner(model, tile=16).plan(PruneSpec(**{"tile": 16, **fields}))  # type: ignore[arg-type]


def test_the_source_model_is_never_changed(model: LoadedModel) -> None:
    planner = Planner(model, tile=8)
    for pattern in METHODS[1:]:
        planner.plan(PruneSpec(pattern=pattern, tile=8))
    assert state_digest(model.module) == model.digest


def test_layer_scores_are_one_number_per_tile_and_column(model: LoadedModel) -> None:
    scores = Planner(model, tile=8).layer_scores("stages.0.0.conv1", torch.arange(16))
    assert scores.shape == (2, 144)


@pytest.mark.parametrize("pattern", METHODS[1:])
def test_a_plan_survives_json(model: LoadedModel, pattern: str) -> None:
    plan = make_plan(model, PruneSpec(pattern=pattern, tile=8, ratios=(("fc", 0.5),), permute=True))
    again = PruningPlan.from_json(json.loads(json.dumps(plan.to_json())))
    assert again.to_json() == plan.to_json()
    assert (again.spec, again.kept_dense, again.notes) == (plan.spec, plan.kept_dense, plan.notes)
    for before, after in zip(plan, again, strict=True):
        assert after.mask.dense().equal(before.mask.dense())
        assert after.mask.order.equal(before.mask.order) and after.importance == before.importance


def test_every_line_of_a_table_goes_by_its_own_name() -> None:
    for table in (ALLOCATIONS, CRITERIA, RECOVERIES):
        for name, entry in table.items():  # type: ignore[attr-defined]
            assert entry.name == name and entry.title
            assert entry.description.endswith("]"), "says whether it is the paper's or ours"
