"""Launch tiles hold the packed weight, whatever tiles it was pruned in."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from kernels.gpu.launch_tiles import NO_FILTER, ORDERS, LaunchTiles, growth, launch_tiles
from kernels.pack import PackedWeight, pack, unpack
from tests.kernels.cases import CASES, Case, conv, layers, make


def dense(tiles: LaunchTiles, packed: PackedWeight) -> Tensor:
    """The weight matrix [M, K] that launch tiles multiply by, summed over columns that repeat."""
    weight = torch.zeros(packed.geometry.rows, packed.geometry.columns)
    for number in range(tiles.count):
        rows = slice(number * tiles.width, (number + 1) * tiles.width)
        for values, output in zip(tiles.values[rows], tiles.filters[rows].tolist(), strict=True):
            if output != NO_FILTER:
                weight[output].index_add_(0, tiles.taps[number], values.float())
    return weight


@pytest.mark.parametrize("order", ORDERS)
@settings(max_examples=40, deadline=None)
@given(case=layers(), width=st.sampled_from((16, 32, 64, 128)), block_k=st.sampled_from((16, 32)))
def test_launch_tiles_hold_any_packed_weight(order: str, case: Case, width: int, block_k: int) -> None:
    packed = make(case)[0]
    tiles = launch_tiles(packed, width=width, block_k=block_k, dtype=torch.float32, order=order)
    assert torch.equal(dense(tiles, packed), unpack(packed).float())
    real = tiles.filters[tiles.filters != NO_FILTER]
    assert torch.equal(real.sort().values, torch.arange(packed.geometry.rows, dtype=torch.int32))
    assert tiles.columns % block_k == 0
    assert int(tiles.blocks.max()) * block_k <= tiles.columns


@pytest.mark.parametrize("name", ["unbalanced tiles", "rows removed", "3x3", "tile of 8"])
def test_padding_repeats_a_column_that_the_tile_keeps(name: str) -> None:
    packed = make(CASES[name])[0]
    tiles = launch_tiles(packed, width=32, block_k=64, dtype=torch.float16)
    for number in tiles.blocks.nonzero()[:, 0].tolist():
        rows = slice(number * 32, number * 32 + 32)
        used = (tiles.values[rows] != 0).any(0)
        kept = set(tiles.taps[number][used].tolist())
        assert set(tiles.taps[number].tolist()) <= kept


def test_neighbours_join_and_wide_tiles_are_cut() -> None:
    packed = make(Case(conv(16, 128), tile=32))[0]
    counts = [
        launch_tiles(packed, width=width, block_k=16, dtype=torch.float32).count
        for width in (16, 32, 64, 128)
    ]
    assert counts == [8, 4, 2, 1]


def test_the_longest_tile_comes_first() -> None:
    packed = make(Case(conv(16, 128), balanced=False))[0]
    given_order, longest = (
        launch_tiles(packed, width=32, block_k=1, dtype=torch.float32, order=order) for order in ORDERS
    )
    assert longest.blocks.tolist() == sorted(given_order.blocks.tolist(), reverse=True)
    assert not longest.uniform


def test_growth_is_what_joining_costs() -> None:
    packed = make(Case(conv(16, 64), tile=32, ratio=0.5))[0]
    assert growth(packed, 32) == 1.0
    union = len(torch.cat([tile.columns for tile in packed.tiles]).unique())
    assert growth(packed, 64) == pytest.approx(64 * union / packed.kept)
    same = pack(
        torch.randn(64, 9),
        torch.tensor([[True, False, True] * 3] * 2),
        torch.ones(64, dtype=torch.bool),
        32,
        conv(1, 64),
    )
    assert growth(same, 64) == 1.0
    assert growth(make(CASES["nothing kept"])[0], 64) == 1.0


def test_filters_without_columns_are_tiles_of_no_blocks() -> None:
    tiles = launch_tiles(make(CASES["nothing kept"])[0], width=32, block_k=16, dtype=torch.float32)
    assert tiles.blocks.tolist() == [0, 0] and tiles.columns == 16 and tiles.uniform


def test_another_order_is_refused() -> None:
    with pytest.raises(ValueError, match="expected an order out of given, longest, got 'shortest'"):
        launch_tiles(make(CASES["3x3"])[0], width=32, block_k=16, dtype=torch.float32, order="shortest")
