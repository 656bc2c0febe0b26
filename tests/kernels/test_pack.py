"""Packing loses nothing that was kept and keeps nothing that was dropped."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kernels.layout import ConvGeometry
from kernels.pack import pack, pack_dense, unpack


@given(
    filters=st.integers(1, 70),
    columns=st.integers(1, 40),
    tile=st.sampled_from((1, 8, 16, 32, 64, 128)),
    permute=st.booleans(),
    seed=st.integers(0, 2**16),
)
def test_unpacking_gives_the_masked_weight(
    filters: int, columns: int, tile: int, permute: bool, seed: int
) -> None:
    random = torch.Generator().manual_seed(seed)
    weight = torch.randn(filters, columns, generator=random)
    keep = torch.rand(-(-filters // tile), columns, generator=random) < torch.rand(1, generator=random)
    rows = torch.rand(filters, generator=random) < 0.8
    order = torch.randperm(filters, generator=random) if permute else None
    packed = pack(weight, keep, rows, tile, ConvGeometry(columns, filters), order=order)
    tile_of = torch.arange(filters) // tile if order is None else order.argsort() // tile
    mask = keep[tile_of] & rows[:, None]
    assert torch.equal(unpack(packed), weight * mask)
    assert packed.kept == int(mask.sum())


def test_dense_packing_is_one_tile_of_everything() -> None:
    weight = torch.randn(10, 27)
    packed = pack_dense(weight, ConvGeometry(3, 10, (3, 3)))
    assert len(packed.tiles) == 1 and packed.density == 1.0 and packed.balanced
    assert torch.equal(unpack(packed), weight)


def test_a_weight_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="expected a weight of 10 x 27, got \\(10, 9\\)"):
        pack_dense(torch.randn(10, 9), ConvGeometry(3, 10, (3, 3)))
