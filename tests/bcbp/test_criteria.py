"""Criteria score what they say, the same every time."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from bcbp.calibration import GRADIENTS, INPUTS, Moments, damped
from bcbp.criteria import CRITERIA, Criterion, Evidence, greedy
from bcbp.errors import SpecError
from bcbp.geometry import TileShape

WEIGHT = torch.randn(70, 45, generator=torch.Generator().manual_seed(1))
BY_COLUMN = [criterion for criterion in CRITERIA.values() if not criterion.filters_only]


def moments_of(inputs: Tensor) -> Moments:
    """Moments of inputs [N, K] in one group."""
    gram, mean = (inputs.T @ inputs / len(inputs))[None], inputs.mean(0, keepdim=True)
    return Moments(gram, gram, mean, mean)


def joined_groups(*parts: Moments) -> Moments:
    """The moments of a layer with as many groups."""
    return Moments(
        *(torch.cat([getattr(part, name) for part in parts]) for name in ("gram", "cross", "mean", "mean"))
    )


STATS = {
    "": None,
    INPUTS: moments_of(torch.rand(200, 45, generator=torch.Generator().manual_seed(2))),
    GRADIENTS: torch.randn(3, 70, 45, generator=torch.Generator().manual_seed(3)),
}


@pytest.mark.parametrize("name", ["l1", "l2", "activation", "obs"])
def test_the_importance_of_weights_adds_up_to_that_of_columns(name: str) -> None:
    criterion = CRITERIA[name]
    given, tile = evidence(criterion.needs), TileShape(32)
    sums = torch.stack([part.sum(0) for part in criterion.weights(given).split(32)])
    scores = criterion.columns(given, tile) ** (1 if name == "l1" else 2) * tile.heights(70)[:, None]
    torch.testing.assert_close(sums, scores)


@pytest.mark.parametrize("criterion", BY_COLUMN, ids=lambda criterion: criterion.name)
def test_filters_in_another_order_keep_their_importance(criterion: Criterion) -> None:
    order = torch.randperm(70, generator=torch.Generator().manual_seed(4))
    given = evidence(criterion.needs)
    moved = criterion.weights(given.in_order(order))
    assert moved.shape == WEIGHT.shape and moved.min() >= 0
    torch.testing.assert_close(moved, criterion.weights(given)[order])


def evidence(needs: str = "", weight: Tensor = WEIGHT) -> Evidence:
    return Evidence(weight, torch.Generator().manual_seed(7), STATS[needs])


@pytest.mark.parametrize("criterion", CRITERIA.values(), ids=CRITERIA)
def test_every_criterion_scores_filters(criterion: Criterion) -> None:
    scores = criterion.filters(evidence(criterion.needs))
    assert scores.shape == (70,) and scores.dtype == torch.float32 and (scores >= 0).all()
    assert scores.equal(criterion.filters(evidence(criterion.needs)))
    assert criterion.title and criterion.description.endswith("]")


@pytest.mark.parametrize("criterion", BY_COLUMN, ids=lambda criterion: criterion.name)
@pytest.mark.parametrize("rows", [1, 8, 32, 128])
def test_every_other_criterion_scores_the_columns_of_tiles(criterion: Criterion, rows: int) -> None:
    tile = TileShape(rows)
    scores = criterion.columns(evidence(criterion.needs), tile)
    assert scores.shape == (tile.count(70), 45) and scores.dtype == torch.float32 and (scores >= 0).all()


@pytest.mark.parametrize(("name", "order"), [("l1", 1), ("l2", 2)])
@pytest.mark.parametrize("rows", [1, 16, 32, 128])
def test_a_norm_score_is_the_norm_over_the_rows_to_the_same_power(name: str, order: int, rows: int) -> None:
    scores = CRITERIA[name].columns(evidence(), TileShape(rows))
    for panel, row in zip(WEIGHT.split(rows), scores, strict=True):
        expected = torch.linalg.vector_norm(panel, order, 0) / len(panel) ** (1 / order)
        torch.testing.assert_close(row, expected)
    filters = CRITERIA[name].filters(evidence())
    torch.testing.assert_close(filters, torch.linalg.vector_norm(WEIGHT, order, 1) / 45 ** (1 / order))


def test_fpgm_finds_the_filter_in_the_middle_most_replaceable() -> None:
    corners = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0], [0.0, 0.1]])
    scores = CRITERIA["fpgm"].filters(evidence(weight=corners))
    assert int(scores.argmin()) == 4
    distances = (corners[:, None] - corners[None]).norm(dim=2).sum(1)
    torch.testing.assert_close(scores, distances / (4 * 2**0.5))


def test_fpgm_has_no_column_scores_and_says_what_to_do() -> None:
    with pytest.raises(SpecError, match="Use it with the pattern filter"):
        CRITERIA["fpgm"].columns(evidence(), TileShape(8))


def test_the_random_control_does_not_look_at_weights() -> None:
    def draw(weight: Tensor) -> Tensor:
        return CRITERIA["random"].columns(evidence(weight=weight), TileShape(8))

    assert draw(WEIGHT).equal(draw(WEIGHT * 100))


def loss(weight: Tensor, fitted: Tensor, gram: Tensor) -> float:
    """Mean squared change of the outputs when `fitted` stands in for `weight`, float64."""
    change = weight.double() - fitted
    return float((change @ gram * change).sum())


@pytest.mark.parametrize("name", ["activation", "obs"])
@pytest.mark.parametrize("column", [0, 7, 44])
def test_input_criteria_are_the_exact_loss_of_removing_one_column_of_one_tile(name: str, column: int) -> None:
    """Without an update of the rest for activation-aware, with the best one for OBS; by least squares."""
    panel, moments = WEIGHT[16:32], STATS[INPUTS]
    assert isinstance(moments, Moments)
    fitted = panel.double().clone()
    fitted[:, column] = 0
    gram = moments.gram[0].double()
    if name == "obs":
        gram = damped(moments.gram)[0]
        rest = [index for index in range(45) if index != column]
        fitted[:, rest] = (panel.double() @ gram[:, rest]) @ torch.linalg.inv(gram[rest][:, rest])
    score = CRITERIA[name].columns(evidence(INPUTS), TileShape(16))[1, column]
    # 16 squares in float32, then a root: a few roundings of eps each.
    assert float(score.double().square() * 16) == pytest.approx(loss(panel, fitted, gram), rel=1e-5)


@pytest.mark.parametrize("name", ["activation", "obs"])
def test_the_loss_of_a_filter_is_the_energy_of_its_output(name: str) -> None:
    moments = STATS[INPUTS]
    assert isinstance(moments, Moments)
    row = WEIGHT[3:4]
    scores = CRITERIA[name].filters(evidence(INPUTS))
    energy = loss(row, torch.zeros_like(row).double(), moments.gram[0].double())
    assert float(scores[3].double().square() * 45) == pytest.approx(energy, rel=1e-5)


def test_grouped_layers_are_scored_by_the_inputs_of_their_own_group() -> None:
    one, two = torch.rand(50, 45), 10 * torch.rand(50, 45)
    parts = [moments_of(inputs) for inputs in (one, two)]
    joined = joined_groups(*parts)
    both = CRITERIA["activation"].columns(Evidence(WEIGHT, torch.Generator(), joined), TileShape(35))
    for part, panel, scores in zip(parts, WEIGHT.split(35), both, strict=True):
        alone = CRITERIA["activation"].columns(Evidence(panel, torch.Generator(), part), TileShape(35))
        torch.testing.assert_close(alone[0], scores)


@pytest.mark.parametrize("unit", ["column", "filter"])
def test_taylor_is_the_first_order_change_of_the_loss_by_finite_differences(unit: str) -> None:
    inputs = torch.randn(20, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    labels = torch.arange(20) % 8
    weight = torch.randn(8, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(5))

    def loss_of(candidate: Tensor) -> Tensor:
        return torch.nn.functional.cross_entropy(inputs @ candidate.T, labels)

    gradient = torch.func.grad(loss_of)(weight)
    seen = Evidence(weight.float(), torch.Generator(), gradient.float()[None])
    where = torch.zeros_like(weight)
    if unit == "column":
        where[:4, 5] = 1
        score = CRITERIA["taylor"].columns(seen, TileShape(4))[0, 5]
    else:
        where[6] = 1
        score = CRITERIA["taylor"].filters(seen)[6]
    step = 1e-5  # central differences: an error of step^2, far above rounding in float64
    change = (loss_of(weight * (1 + step * where)) - loss_of(weight * (1 - step * where))) / (2 * step)
    assert float(score * where.sum().sqrt()) == pytest.approx(abs(float(change)), rel=1e-4)


def test_taylor_does_not_let_batches_cancel() -> None:
    gradients = torch.ones(2, 70, 45)
    gradients[1] = -1
    seen = Evidence(torch.ones(70, 45), torch.Generator(), gradients)
    assert (CRITERIA["taylor"].columns(seen, TileShape(8)) > 0).all()


@pytest.mark.parametrize("height", [1, 5])
def test_greedy_obs_is_its_naive_twin_where_blocks_are_single_columns(height: int) -> None:
    generator = torch.Generator().manual_seed(6)
    inputs = torch.randn(40, 12, generator=generator) @ torch.randn(12, 12, generator=generator)
    panels = torch.randn(2, height, 12, generator=generator, dtype=torch.float64)
    gram = damped((inputs.T @ inputs / 40)[None])
    found = greedy.removal_losses(panels, torch.linalg.inv(gram).expand(2, -1, -1))
    for panel, losses in zip(panels, found, strict=True):
        torch.testing.assert_close(losses, greedy.naive_losses(panel, gram[0]), rtol=1e-8, atol=1e-10)


def test_the_first_column_that_greedy_obs_removes_costs_what_obs_says() -> None:
    greedy_scores = CRITERIA["obs-greedy"].columns(evidence(INPUTS), TileShape(16))
    scores = CRITERIA["obs"].columns(evidence(INPUTS), TileShape(16))
    torch.testing.assert_close(greedy_scores.min(1).values, scores.min(1).values)


def test_greedy_obs_keeps_one_of_two_equal_inputs() -> None:
    """Either could go for next to nothing, so OBS alone removes both; once one is gone the other is dear."""
    inputs = torch.randn(500, 4, generator=torch.Generator().manual_seed(8))
    inputs[:, 1] = inputs[:, 0]
    weight = torch.tensor([[1.0, 1.0, 0.6, 0.6]]).repeat(8, 1)
    seen = Evidence(weight, torch.Generator(), moments_of(inputs))
    alone, one_by_one = (
        set(CRITERIA[name].columns(seen, TileShape(8))[0].topk(2).indices.tolist())
        for name in ("obs", "obs-greedy")
    )
    assert alone == {2, 3} and len({0, 1} & one_by_one) == 1


def test_greedy_obs_scores_grouped_and_ragged_layers_tile_by_tile() -> None:
    whole = CRITERIA["obs-greedy"].columns(evidence(INPUTS), TileShape(32))
    alone = CRITERIA["obs-greedy"].columns(evidence(INPUTS, WEIGHT[64:]), TileShape(32))
    torch.testing.assert_close(whole[2], alone[0])
    one, two = STATS[INPUTS], moments_of(torch.randn(90, 45))
    assert isinstance(one, Moments)
    joined = joined_groups(one, two)
    grouped = CRITERIA["obs-greedy"].columns(Evidence(WEIGHT[:64], torch.Generator(), joined), TileShape(32))
    torch.testing.assert_close(grouped[0], whole[0])


def test_greedy_obs_says_no_to_tiles_that_would_take_minutes() -> None:
    with pytest.raises(SpecError, match="Choose a larger tile or the criterion obs"):
        greedy._check_work(512, 4608)
