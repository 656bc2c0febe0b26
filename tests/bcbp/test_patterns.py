"""The laws of every pattern, over all criteria and allocations, and those of BCBP's three steps."""

from __future__ import annotations

import math
from functools import cache

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from bcbp.allocation import ALLOCATIONS
from bcbp.calibration import collect
from bcbp.criteria import CRITERIA
from bcbp.data import CIFAR10, ImageSet
from bcbp.errors import SpecError
from bcbp.intake.model import LoadedModel, adopt, state_digest
from bcbp.intake.residual import ResidualNet
from bcbp.measured import TIMES
from bcbp.patterns import PATTERNS
from bcbp.patterns.balanced_columns import Quota, repair_budget
from bcbp.plan import PruningPlan
from bcbp.planning import Planner, make_plan
from bcbp.spec import PruneSpec
from tests.bcbp.measurements import measured_of

ANY_RATIO = st.floats(0, 0.95)
ANY_TILE = st.sampled_from([1, 8, 16, 32, 64, 128])
RATIO_ALLOCATIONS = [name for name, allocation in ALLOCATIONS.items() if allocation.follows_ratio]


@cache
def mixed() -> LoadedModel:
    """Every geometry in one chain: 7x7, 1x1, ragged, strided, dilated, grouped, depth-wise, Linear."""
    torch.manual_seed(3)
    module = nn.Sequential(
        nn.Conv2d(3, 32, 7, stride=2, padding=3),
        nn.Conv2d(32, 44, 1),
        nn.Conv2d(44, 64, 3, padding=2, dilation=2),
        nn.Conv2d(64, 64, 3, groups=4, stride=2),
        nn.Conv2d(64, 64, 3, groups=64),
        nn.BatchNorm2d(64),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(256, 70),
        nn.Linear(70, 10),
    )
    return adopt(module, name="mixed", input_shape=(3, 28, 28))


@cache
def residual() -> LoadedModel:
    torch.manual_seed(4)
    net = ResidualNet(in_channels=3, widths=(16, 32), blocks=(1, 2), classes=5)
    return adopt(net, name="residual", input_shape=(3, 16, 16))


@cache
def planner(model_name: str, criterion: str, tile: int) -> Planner:
    model, needs = {"mixed": mixed, "residual": residual}[model_name](), CRITERIA[criterion].needs
    pixels = torch.randint(0, 256, (16, *model.input_shape), dtype=torch.uint8)
    images = ImageSet(CIFAR10, "calibration", pixels, torch.arange(16) % 5)
    stats = collect(needs, model, images) if needs else None
    return Planner(model, criterion=criterion, tile=tile, stats=stats)


def plan(model: str = "mixed", **fields: object) -> PruningPlan:
    spec = PruneSpec(**fields)  # type: ignore[arg-type]
    known = planner(model, spec.criterion, spec.tile)
    return known.plan(spec, measured_of(known.model, tile=spec.tile))


def prunable_weights(result: PruningPlan) -> int:
    whole = dict(result.kept_dense)
    return sum(math.prod(layer.shape) for layer in result if layer.name not in whole)


def kept_weights(result: PruningPlan) -> int:
    whole = dict(result.kept_dense)
    return sum(layer.mask.kept for layer in result if layer.name not in whole)


# Every pattern x criterion x allocation.


@pytest.mark.parametrize("allocation", ALLOCATIONS)
@pytest.mark.parametrize("criterion", CRITERIA)
@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("model", ["mixed", "residual"])
def test_every_combination_plans_or_says_why_not(
    model: str, pattern: str, criterion: str, allocation: str
) -> None:
    fields = {"pattern": pattern, "criterion": criterion, "allocation": allocation, "tile": 16}
    ratios = {"mixed": ("2", 0.5), "residual": ("stages.0.0.conv1", 0.5)}[model]
    if allocation == "explicit":
        fields["ratios"] = (ratios,)
    if TIMES in ALLOCATIONS[allocation].reads:
        fields["budget_ms"] = 10.0
    if CRITERIA[criterion].filters_only and pattern != "filter":
        with pytest.raises(SpecError, match="Use it with the pattern filter"):
            plan(model, **fields)
        return
    result = plan(model, **fields)
    loaded = planner(model, criterion, 16).model
    for layer in result:
        info = loaded.layer(layer.name)
        assert layer.shape == layer.mask.shape == (info.rows, info.columns)
        assert layer.mask.kept > 0
        assert 0 <= layer.wit_before < 1
    named = {layer.name for layer in result} | dict(result.kept_dense).keys()
    assert named == {layer.name for layer in loaded.layers}
    assert all(result[name].mask.sparsity == 0 for name, _ in result.kept_dense if name in _names(result))
    assert state_digest(loaded.module) == loaded.digest == result.model_digest


def _names(result: PruningPlan) -> set[str]:
    return {layer.name for layer in result}


@pytest.mark.parametrize("pattern", PATTERNS)
def test_every_pattern_names_itself(pattern: str) -> None:
    entry = PATTERNS[pattern]
    assert entry.name == pattern and entry.title and entry.label
    assert "paper" in entry.description or "baseline" in entry.description


@pytest.mark.parametrize("pattern", PATTERNS)
def test_the_same_request_gives_the_same_masks(pattern: str) -> None:
    first, second = (make_plan(residual(), PruneSpec(pattern=pattern, tile=8)) for _ in range(2))
    assert first.to_json() == second.to_json()


@pytest.mark.parametrize("pattern", ["bcbp", "column", "block", "unstructured"])
@pytest.mark.parametrize("allocation", RATIO_ALLOCATIONS)
@given(ratio=ANY_RATIO)
def test_kept_weights_meet_the_budget_within_a_slab_per_layer(
    pattern: str, allocation: str, ratio: float
) -> None:
    result = plan(pattern=pattern, allocation=allocation, ratio=ratio, tile=16)
    slab = max(layer.shape[0] for layer in result)
    budget = (1 - ratio) * prunable_weights(result)
    layers = len(result.layers)
    assert abs(kept_weights(result) - budget) <= slab * layers


@given(ratio=ANY_RATIO, tile=ANY_TILE, k_step=st.sampled_from([1, 8, 64]))
def test_uniform_layers_each_lose_the_asked_ratio_within_a_slab(ratio: float, tile: int, k_step: int) -> None:
    result = plan(ratio=ratio, tile=tile, k_step=k_step)
    for layer in result:
        if layer.name not in dict(result.kept_dense):
            assert abs(layer.ratio - ratio) * layer.shape[1] <= k_step


# BCBP.


@given(
    ratio=ANY_RATIO,
    tile=ANY_TILE,
    k_step=st.sampled_from([1, 8, 32]),
    allocation=st.sampled_from(RATIO_ALLOCATIONS),
    reduction=st.sampled_from(["mean", "min", "max"]),
    criterion=st.sampled_from(["l1", "l2", "random"]),
)
def test_bcbp_tiles_of_a_layer_all_keep_their_own_true_top_k(
    ratio: float, tile: int, k_step: int, allocation: str, reduction: str, criterion: str
) -> None:
    fields = {"ratio": ratio, "tile": tile, "k_step": k_step, "allocation": allocation}
    result = plan(reduction=reduction, criterion=criterion, **fields)
    for layer in result:
        assert layer.mask.balanced and layer.mask.wit == 0
        count, columns = int(layer.mask.kept_per_tile[0]), layer.shape[1]
        assert count >= 1 and (count % k_step == 0 or count == columns)
        scores = planner("mixed", criterion, tile).layer_scores(layer.name, layer.mask.order)
        worst_kept = scores.masked_fill(~layer.mask.keep, torch.inf).amin(1)
        best_lost = scores.masked_fill(layer.mask.keep, -torch.inf).amax(1)
        assert (worst_kept >= best_lost).all()


@given(ratio=ANY_RATIO)
def test_tiles_of_one_row_are_balanced_pruning_of_each_filter(ratio: float) -> None:
    for layer in plan(ratio=ratio, tile=1):
        weight = mixed().weight(layer.name).abs()
        kept = layer.mask.dense()
        assert (kept.sum(1) == kept[0].sum()).all()
        count = int(kept[0].sum())
        expected = torch.zeros_like(kept).scatter_(1, weight.topk(count, 1).indices, True)
        assert kept.equal(expected)


@given(ratio=ANY_RATIO)
def test_a_tile_of_all_filters_is_pruning_of_whole_columns(ratio: float) -> None:
    result = plan(ratio=ratio, tile=128)
    for layer in result:
        assert len(layer.mask.keep) == 1
        dense = layer.mask.dense()
        assert (dense == dense[0]).all()


@pytest.mark.parametrize("allocation", RATIO_ALLOCATIONS)
@pytest.mark.parametrize("pattern", ["bcbp", "column", "block", "filter", "unstructured"])
def test_a_ratio_of_zero_is_dense(pattern: str, allocation: str) -> None:
    result = plan("residual", pattern=pattern, allocation=allocation, ratio=0.0, tile=16)
    assert result.sparsity == 0
    assert all(layer.mask.dense().all() for layer in result)


def test_step_1_sizes_the_problem_that_step_3_solves() -> None:
    balanced = plan(allocation="global", tile=16)
    unbalanced = plan(pattern="column", allocation="global", tile=16)
    before = [layer.wit_before for layer in balanced]
    assert before == pytest.approx([layer.mask.wit for layer in unbalanced])
    assert max(before) > 0.05
    assert all(layer.mask.wit == 0 for layer in balanced)


def test_the_mean_preserves_the_budget_and_min_and_max_bracket_it() -> None:
    ratios = {
        how: plan(reduction=how, allocation="global", tile=16).sparsity for how in ("min", "mean", "max")
    }
    assert ratios["min"] < ratios["mean"] < ratios["max"]
    assert ratios["mean"] == pytest.approx(plan(allocation="global", tile=16).sparsity)


@given(
    st.lists(
        st.builds(
            lambda filters, columns, share, step: Quota(
                filters, columns, max(1, round(share * filters * columns)), step
            ),
            st.integers(1, 64),
            st.integers(1, 100),
            st.floats(0, 1),
            st.sampled_from([1, 4, 16]),
        ),
        min_size=1,
        max_size=6,
    )
)
def test_repair_keeps_the_quotas_with_less_than_a_slab_to_spare(quotas: list[Quota]) -> None:
    columns = repair_budget(quotas)
    spare = sum(count * quota.filters - quota.weights for count, quota in zip(columns, quotas, strict=True))
    assert spare >= 0
    for count, quota in zip(columns, quotas, strict=True):
        assert count in {quota.k, quota.lower} and count >= 1
        if count == quota.k and quota.lower and quota.excess:
            assert spare < quota.slab


def test_a_single_layer_keeps_k_minus_the_floor_of_rho_k() -> None:
    linear = adopt(nn.Linear(577, 64), name="one", input_shape=(1, 1, 577))
    (layer,) = make_plan(linear, PruneSpec(ratio=0.5, tile=32))
    assert layer.mask.kept_per_tile.tolist() == [289, 289]


# Filters permuted.


PERMUTED = [name for name, pattern in PATTERNS.items() if not pattern.no_permutation]


@pytest.mark.parametrize("criterion", [name for name, one in CRITERIA.items() if not one.filters_only])
@pytest.mark.parametrize("pattern", PERMUTED)
@pytest.mark.parametrize("allocation", ["uniform", "global", "sensitivity"])
def test_permuting_keeps_as_many_weights_and_more_importance(
    pattern: str, criterion: str, allocation: str
) -> None:
    fields = {"pattern": pattern, "criterion": criterion, "allocation": allocation, "tile": 8, "ratio": 0.7}
    plain, moved = plan("residual", **fields), plan("residual", permute=True, **fields)
    assert plain.importance is None
    for before, after in zip(plain, moved, strict=True):
        if pattern == "bcbp":
            assert after.mask.kept_per_tile.equal(before.mask.kept_per_tile)
        assert after.target == before.target
        assert after.importance is not None and after.importance.after >= after.importance.before
        weights = planner("residual", criterion, 8).book.weights(after.name).double()
        for mask, share in zip((before.mask, after.mask), after.importance.shares, strict=True):
            assert float((weights * mask.dense()).sum() / weights.sum()) == pytest.approx(share)
    assert moved.importance is not None
    if criterion == "random":
        assert not any(layer.mask.permuted for layer in moved)
    else:
        assert moved.importance.after > moved.importance.before


@pytest.mark.parametrize("pattern", PERMUTED)
def test_permuting_leaves_other_choices_alone(pattern: str) -> None:
    fields = {"pattern": pattern, "tile": 8, "k_step": 4, "ratios": (("stages.1.0.conv1", 0.25),)}
    moved = plan("residual", permute=True, **fields)
    assert [layer.target for layer in moved] == [layer.target for layer in plan("residual", **fields)]
    assert any(layer.mask.permuted for layer in moved)
    if pattern == "bcbp":
        assert all((layer.mask.kept_per_tile % 4 == 0).all() for layer in moved)


def test_filters_are_permuted_inside_their_groups() -> None:
    mask = plan(tile=8, permute=True)["3"].mask
    assert mask.permuted and (mask.order // 16).equal(torch.arange(64) // 16)


@pytest.mark.parametrize("pattern", [name for name in PATTERNS if name not in PERMUTED])
def test_patterns_that_no_order_helps_say_so(pattern: str) -> None:
    result = plan("residual", pattern=pattern, tile=8, permute=True)
    assert any("Filters are not permuted: " in note for note in result.notes)
    assert result.importance is None and not any(layer.mask.permuted for layer in result)


def test_layers_of_one_tile_are_named() -> None:
    result = plan("residual", tile=16, permute=True)
    one_tile = [layer.name for layer in result if layer.shape[0] == 16]
    (note,) = result.notes
    assert f"keep their order in {', '.join(one_tile)}: one tile has all filters" in note
    assert all(result[name].importance is None for name in one_tile)


# The other patterns.


@given(ratio=ANY_RATIO, tile=st.sampled_from([8, 16, 32]))
def test_unbalanced_columns_are_the_top_of_the_layer(ratio: float, tile: int) -> None:
    for layer in plan(pattern="column", ratio=ratio, tile=tile):
        scores = planner("mixed", "l2", tile).layer_scores(layer.name, layer.mask.order)
        kept, lost = scores[layer.mask.keep], scores[~layer.mask.keep]
        assert not len(lost) or kept.min() >= lost.max()


@given(ratio=ANY_RATIO, tile=st.sampled_from([8, 16, 32]))
def test_a_block_is_rows_times_columns_in_equal_shares(ratio: float, tile: int) -> None:
    for layer in plan(pattern="block", ratio=ratio, tile=tile):
        assert layer.mask.balanced
        height = min(tile, layer.shape[0])
        share = math.sqrt(1 - layer.target)
        assert abs(int(layer.mask.rows_per_tile[0]) - share * height) <= 1
        assert layer.mask.rows_per_tile.min() >= 1


@given(ratio=st.floats(0.05, 0.9))
def test_unstructured_keeps_the_largest_weights(ratio: float) -> None:
    for layer in plan("residual", pattern="unstructured", ratio=ratio, allocation="uniform"):
        weight, kept = residual().weight(layer.name).abs(), layer.mask.dense()
        assert weight[kept].min() >= weight[~kept].max()


def test_two_of_four_keeps_the_best_two_of_every_four_channels_at_each_tap() -> None:
    result = plan("residual", pattern="2:4", ratio=0.8)
    assert result.sparsity == 0.5
    assert "always removes 50%" in result.notes[0]
    for layer in result:
        taps = residual().layer(layer.name).geometry.kernel
        kept = layer.mask.dense().view(layer.shape[0], -1, 4, math.prod(taps))
        assert (kept.sum(2) == 2).all()
        values = residual().weight(layer.name).abs().view_as(kept)
        worst = values.masked_fill(~kept, torch.inf).amin(2)
        assert (worst >= values.masked_fill(kept, -torch.inf).amax(2)).all()


def test_two_of_four_leaves_channels_that_do_not_divide() -> None:
    result = plan(pattern="2:4")
    assert "70 input channels" not in dict(result.kept_dense).get("8", "")
    odd = adopt(nn.Sequential(nn.Conv2d(6, 8, 1), nn.Conv2d(8, 8, 1)), name="odd", input_shape=(6, 4, 4))
    odd_plan = make_plan(odd, PruneSpec(pattern="2:4"))
    assert dict(odd_plan.kept_dense) == {"0": "6 input channels do not divide into groups of 4"}
    assert odd_plan["0"].mask.sparsity == 0 and odd_plan["1"].mask.sparsity == 0.5


@pytest.mark.parametrize("pattern", ["bcbp", "column", "block"])
def test_tiles_that_would_straddle_groups_leave_the_layer_whole_with_the_reason(pattern: str) -> None:
    whole = dict(plan(pattern=pattern, tile=32).kept_dense)
    assert "straddle its 4 groups of 16 filters" in whole["3"]
    assert "3" not in dict(plan(pattern=pattern, tile=16).kept_dense)


# Filters.


@pytest.mark.parametrize("allocation", ["uniform", "global"])
@given(ratio=st.floats(0.05, 0.8))
def test_filter_plans_remove_rows_and_the_columns_that_read_them(allocation: str, ratio: float) -> None:
    result = plan("residual", pattern="filter", ratio=ratio, tile=16, allocation=allocation)
    for stage, block in (("0", "0"), ("1", "0"), ("1", "1")):
        producer = result[f"stages.{stage}.{block}.conv1"].mask
        consumer = result[f"stages.{stage}.{block}.conv2"].mask
        assert producer.rows.any() and producer.keep.all()
        assert consumer.rows.all()
        assert (consumer.keep == producer.rows.repeat_interleave(9)).all()
    assert result.sparsity == pytest.approx(ratio, abs=0.03)


def test_layers_outside_the_reach_of_filter_pruning_say_so() -> None:
    result = plan("residual", pattern="filter", tile=16)
    assert "summed" in dict(result.kept_dense)["stages.1.0.downsample.0"]
    assert result["stages.1.0.downsample.0"].mask.sparsity == 0


def test_a_ratio_that_filters_cannot_reach_is_admitted() -> None:
    result = plan("residual", pattern="filter", ratio=0.99, tile=16)
    assert result.sparsity < 0.97
    assert "Asked for 99.0%, reached" in result.notes[-1]


def test_an_explicit_ratio_on_a_layer_whose_filters_must_stay_is_remarked() -> None:
    fields = {"pattern": "filter", "allocation": "explicit", "tile": 16}
    ratios = (("stages.0.0.conv1", 0.5), ("stages.0.0.conv2", 0.5))
    result = plan("residual", ratios=ratios, **fields)
    assert result["stages.0.0.conv1"].mask.rows.sum() == 8
    assert "stages.0.0.conv2 cannot lose filters" in result.notes[0]
    assert result["stages.1.0.conv1"].mask.sparsity == 0


def test_an_excluded_reader_still_loses_the_inputs_that_are_gone() -> None:
    chain = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4)
    )
    model = adopt(chain, name="chain", input_shape=(3, 8, 8))
    result = make_plan(model, PruneSpec(pattern="filter", tile=8, ratio=0.5))
    assert result["4"].mask.keep.equal(result["1"].mask.rows[None])
    assert result.notes[0] == "4 is excluded, but it loses the inputs that 1 no longer makes."


def test_a_network_without_inner_layers_keeps_everything_and_says_so() -> None:
    class Branching(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Conv2d(3, 8, 1), nn.Conv2d(8, 8, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.a(x)
            return self.b(y) if y.sum() > 0 else self.b(y + 1)

    model = adopt(Branching(), name="branching", input_shape=(3, 4, 4))
    result = make_plan(model, PruneSpec(pattern="filter", tile=8))
    assert result.sparsity == 0
    assert "No layer can lose filters" in result.notes[0]
