"""A permutation is a permutation, never worse than none, the same for a seed, and on tiny layers the best."""

from __future__ import annotations

from itertools import combinations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from bcbp import permutation
from bcbp.geometry import LayerInfo, TileShape
from bcbp.permutation import objective, similar_order, unmoved
from kernels.layout import ConvGeometry


def importance(filters: int, columns: int, seed: int) -> Tensor:
    """Heavy tails: a few columns matter to a filter."""
    return torch.rand(filters, columns, generator=torch.Generator().manual_seed(seed)).pow(4)


@given(
    filters=st.integers(1, 70),
    columns=st.integers(1, 40),
    tile=st.sampled_from([1, 4, 8, 16, 32]),
    share=st.floats(0, 1),
    seed=st.integers(0, 1000),
)
def test_an_order_is_never_worse_than_none(
    filters: int, columns: int, tile: int, share: float, seed: int
) -> None:
    values, shape, k = importance(filters, columns, seed), TileShape(tile), max(1, round(share * columns))
    own = torch.arange(filters)
    order = similar_order(values, shape, k, seed=seed)
    assert order.sort().values.equal(own)
    assert all(part.equal(part.sort().values) for part in order.split(tile))
    assert objective(values, shape, k, order) >= objective(values, shape, k, own) * (1 - 1e-12)
    assert similar_order(values, shape, k, seed=seed).equal(order)


def test_filters_of_two_kinds_are_told_apart() -> None:
    """Even filters read the first half of the columns, odd ones the second: half is enough for all."""
    values = torch.rand(64, 40) + 0.1
    values[::2, 20:] = values[1::2, :20] = 0
    order = similar_order(values, TileShape(32), 20)
    assert objective(values, TileShape(32), 20, order) == pytest.approx(float(values.sum()), rel=1e-6)
    assert set((order[:32] % 2).tolist()) in ({0}, {1})


def best_of_all(values: Tensor, k: int) -> float:
    """By trying every split into two tiles of half the filters."""
    filters = set(range(len(values)))
    halves = combinations(sorted(filters), len(filters) // 2)
    orders = (torch.tensor([*half, *sorted(filters - set(half))]) for half in halves)
    return max(objective(values, TileShape(len(filters) // 2), k, order) for order in orders)


def test_tiny_layers_come_to_the_best_there_is() -> None:
    """Of what the best of all orders gains over none, at least 97 % on average, and mostly all of it."""
    shares = []
    for seed in range(40):
        values = importance(8, 10, seed)
        none, best = objective(values, TileShape(4), 4, torch.arange(8)), best_of_all(values, 4)
        found = objective(values, TileShape(4), 4, similar_order(values, TileShape(4), 4))
        shares.append((found - none) / (best - none) if best > none else 1.0)
    assert sum(shares) / len(shares) >= 0.97
    assert sum(share > 1 - 1e-6 for share in shares) >= 30


def test_no_filter_leaves_its_group() -> None:
    order = similar_order(importance(64, 20, 0), TileShape(8), 6, groups=2)
    assert order[:32].max() < 32 <= order[32:].min()
    assert not order.equal(torch.arange(64))


def test_equal_filters_keep_their_order() -> None:
    assert similar_order(torch.ones(64, 9), TileShape(16), 3).equal(torch.arange(64))


@pytest.mark.parametrize(
    ("geometry", "tile", "words"),
    [
        (ConvGeometry(64, 64), 1, "a tile is one filter"),
        (ConvGeometry(64, 64), 64, "one tile has all filters"),
        (ConvGeometry(64, 64, groups=4), 16, "one tile has all filters of a group"),
        (ConvGeometry(25088, 4096), 32, "it would take minutes"),
        (ConvGeometry(512, 512, (3, 3)), 8, ""),
    ],
)
def test_layers_that_keep_their_order_say_why(geometry: ConvGeometry, tile: int, words: str) -> None:
    reason = unmoved(LayerInfo("layer", "conv", geometry, (7, 7)), tile)
    assert reason.startswith(words) and bool(reason) == bool(words)


def test_swaps_go_on_where_clustering_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    values, tile = importance(64, 60, 1), TileShape(16)
    swapped = objective(values, tile, 18, similar_order(values, tile, 18))
    monkeypatch.setattr(permutation, "_ROUNDS", 0)
    assert objective(values, tile, 18, similar_order(values, tile, 18)) < swapped
