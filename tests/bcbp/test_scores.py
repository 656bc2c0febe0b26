"""The order of units: true top sets, ties by position, one threshold over many layers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from bcbp.errors import ModelError
from bcbp.geometry import TileShape
from bcbp.intake.model import adopt
from bcbp.scores import ScoreBook, ScorePool, UnitScores


@st.composite
def pools(draw: st.DrawFn) -> ScorePool:
    """Layers of few distinct scores, so that ties abound, with ragged last groups."""
    generator = torch.Generator().manual_seed(draw(st.integers(0, 10_000)))
    levels = draw(st.sampled_from([1, 3, 1000]))
    layers, first = [], 0
    for index in range(draw(st.integers(1, 4))):
        groups, units = draw(st.integers(1, 5)), draw(st.integers(1, 20))
        values = torch.randint(0, levels, (groups, units), generator=generator).float()
        weights = torch.full((groups,), 8)
        weights[-1] = draw(st.integers(1, 8))
        layers.append(UnitScores(str(index), values, weights, first))
        first += values.numel()
    return ScorePool(tuple(layers))


def by_hand(values: Tensor, count: int) -> Tensor:
    """The first `count` places of a stable sort, best first."""
    order = np.argsort(-values.numpy(), kind="stable")[:count]
    kept = torch.zeros(len(values), dtype=torch.bool)
    kept[torch.from_numpy(order)] = True
    return kept


@given(pools(), st.floats(0.01, 1))
def test_best_is_the_true_top_k_of_every_group_with_ties_by_position(pool: ScorePool, share: float) -> None:
    for layer in pool.layers:
        count = max(1, round(share * layer.values.shape[1]))
        expected = torch.stack([by_hand(row, count) for row in layer.values])
        assert layer.best(count).equal(expected)


@given(pools(), st.floats(0.001, 1))
def test_select_is_the_shortest_prefix_that_holds_enough_weights(pool: ScorePool, share: float) -> None:
    for layer in pool.layers:
        keep = max(1, round(share * layer.total))
        selected = layer.select(keep)
        per_unit = layer.weights[:, None].expand_as(layer.values)
        assert selected.flatten().equal(by_hand(layer.values.flatten(), int(selected.sum())))
        weights = int(per_unit[selected].sum())
        assert keep <= weights < keep + int(layer.weights.max())
        assert layer.count(keep).equal(selected.sum(1))


@given(pools(), st.floats(0.001, 1))
def test_one_threshold_splits_the_budget_as_one_sorted_list_would(pool: ScorePool, share: float) -> None:
    total = sum(layer.total for layer in pool.layers)
    keep = max(1, round(share * total))
    kept = pool.split(keep, {layer.name: 0 for layer in pool.layers})
    values = torch.cat([layer.values.flatten() for layer in pool.layers])
    weights = torch.cat([layer.weights[:, None].expand_as(layer.values).flatten() for layer in pool.layers])
    order = np.argsort(-values.numpy(), kind="stable")
    stop = int(np.searchsorted(np.cumsum(weights.numpy()[order]), keep)) + 1
    chosen = torch.zeros(len(values), dtype=torch.int64)
    chosen[torch.from_numpy(order[:stop])] = weights[torch.from_numpy(order[:stop])]
    sizes = [layer.values.numel() for layer in pool.layers]
    assert list(kept.values()) == [int(part.sum()) for part in chosen.split(sizes)]


@given(pools(), st.floats(0.05, 1))
def test_floors_hold_and_the_others_pay_for_them(pool: ScorePool, share: float) -> None:
    total = sum(layer.total for layer in pool.layers)
    keep = max(1, round(share * total))
    floors = {layer.name: int(0.5 * share * layer.total) for layer in pool.layers}
    kept = pool.split(keep, floors)
    assert all(kept[name] >= floors[name] for name in kept)
    assert keep <= sum(kept.values()) < keep + 8


def test_weights_that_are_no_numbers_are_refused_by_name() -> None:
    module = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3))
    with torch.no_grad():
        module[1].weight[0, 0, 0, 0] = torch.nan
    model = adopt(module, name="broken", input_shape=(3, 8, 8))
    with pytest.raises(ModelError, match="layer 1 holds NaN"):
        ScoreBook(model, "l2", 0).columns(TileShape(8))
