"""Masks: counts and views are derived from one bool matrix, and survive JSON."""

from __future__ import annotations

import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bcbp.errors import SpecError
from bcbp.geometry import LayerInfo, TileShape
from bcbp.mask import Mask
from kernels.layout import ConvGeometry
from kernels.pack import unpack


@st.composite
def masks(draw: st.DrawFn) -> Mask:
    filters, columns = draw(st.integers(1, 40)), draw(st.integers(1, 30))
    tile = TileShape(draw(st.sampled_from([1, 8, 16, 32])), draw(st.sampled_from([1, 4])))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 1000)))
    keep = torch.rand(tile.count(filters), columns, generator=generator) < draw(st.floats(0, 1))
    rows = torch.rand(filters, generator=generator) < draw(st.floats(0, 1))
    order = torch.randperm(filters, generator=generator) if draw(st.booleans()) else torch.arange(filters)
    return Mask(keep, rows, tile, order)


@given(masks())
def test_the_dense_view_and_the_counts_tell_the_same(mask: Mask) -> None:
    dense = mask.dense()
    assert tuple(dense.shape) == mask.shape
    assert int(dense.sum()) == mask.kept
    assert mask.sparsity == pytest.approx(1 - dense.double().mean())
    assert int(mask.rows_per_tile.sum()) == int(mask.rows.sum())
    for tile, filters in enumerate(mask.order.split(mask.tile.rows)):
        assert dense[filters].equal(mask.keep[tile] & mask.rows[filters][:, None])
        assert int(mask.rows_per_tile[tile]) == int(mask.rows[filters].sum())


@given(masks())
def test_packing_and_unpacking_gives_the_masked_weight(mask: Mask) -> None:
    filters, columns = mask.shape
    weight = torch.rand(filters, columns) + 1
    assert unpack(mask.pack(weight, ConvGeometry(columns, filters))).equal(weight * mask.dense())


@given(masks())
def test_a_mask_survives_json(mask: Mask) -> None:
    again = Mask.from_json(json.loads(json.dumps(mask.to_json())))
    assert again.keep.equal(mask.keep) and again.rows.equal(mask.rows) and again.tile == mask.tile
    assert again.order.equal(mask.order)


@given(masks())
def test_wit_is_the_idle_share_of_a_wave(mask: Mask) -> None:
    counts = mask.kept_per_tile
    busy, wave = int(counts.sum()), len(counts) * int(counts.max())
    assert mask.wit == pytest.approx(1 - busy / wave if wave else 0)
    assert 0 <= mask.wit < 1
    assert mask.balanced == (mask.wit == 0)


@given(st.integers(1, 300), st.sampled_from([1, 8, 16, 32, 64, 128]))
def test_tiles_cover_all_filters_and_only_the_last_is_ragged(filters: int, rows: int) -> None:
    heights = TileShape(rows).heights(filters)
    assert int(heights.sum()) == filters
    assert (heights[:-1] == rows).all() and 1 <= heights[-1] <= rows


def test_a_mask_that_does_not_fit_its_tiles_is_refused() -> None:
    with pytest.raises(ValueError, match="expected keep of 2 tiles x K for 9 filters in tiles of 8"):
        Mask(torch.ones(3, 4, dtype=torch.bool), torch.ones(9, dtype=torch.bool), TileShape(8))
    with pytest.raises(ValueError, match="expected bool masks"):
        Mask(torch.ones(1, 4), torch.ones(8, dtype=torch.bool), TileShape(8))
    with pytest.raises(ValueError, match="expected an order of all 3 filters, got"):
        Mask.of_columns(torch.ones(1, 4, dtype=torch.bool), torch.tensor([0, 0, 2]), TileShape(8))
    with pytest.raises(SpecError, match="at least 1 x 1"):
        TileShape(0)


def test_a_tile_may_not_straddle_groups() -> None:
    grouped = LayerInfo("g", "conv", ConvGeometry(64, 64, (3, 3), groups=4), (8, 8))
    assert grouped.tile_reason(16) is None
    assert "straddle its 4 groups of 16 filters" in str(grouped.tile_reason(32))
    assert LayerInfo("c", "conv", ConvGeometry(64, 70), (8, 8)).tile_reason(32) is None


def test_a_mask_describes_itself_in_one_line() -> None:
    keep = torch.tensor([[True, False, True], [True, False, False]])
    mask = Mask.of_columns(keep, torch.arange(4), TileShape(2))
    assert repr(mask) == "Mask(4 x 3 in 2 tiles of 2, 50.0% removed, unbalanced)"
    apart = Mask(keep, mask.rows, TileShape(2), torch.tensor([0, 2, 1, 3]))
    assert repr(apart) == "Mask(4 x 3 in 2 tiles of 2, 50.0% removed, unbalanced, permuted)"
