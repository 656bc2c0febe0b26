"""The gathered product computes the masked layer: every precision, layout, launch and pattern."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from kernels.engines import ACTIVATIONS, Epilogue
from kernels.gpu.feature_map import CHWN, SHIFTED, Shift, shifted
from kernels.gpu.launch import LaunchConfig
from kernels.gpu.launch_tiles import ORDERS
from kernels.pack import PackedWeight, pack
from kernels.precision import FP16, FP32, PRECISIONS, Precision
from kernels.testing import assert_close
from tests.kernels.cases import CASES, Case, conv, layers, make
from tests.kernels.gpu.suite.layers import (
    DEVICE,
    SMALL,
    assert_computes,
    blank,
    compute,
    gathered,
    inside,
    read_by,
    run,
)

# The contract of engines runs every case in CHWN; "large" is for the caches of CPUs.
ONE_GROUP = {name: case for name, case in CASES.items() if case.geometry.groups == 1 and "large" not in name}
NOT_DILATED = [name for name, case in ONE_GROUP.items() if case.geometry.dilation[1] == 1]
LAYERS = {
    "3x3": Case(conv(8, 40), plane=(5, 6), images=11, residual=True),
    "3x3 stride 2": Case(conv(8, 64, stride=(2, 2)), plane=(9, 9), images=3, tile=64),
}
# A layer of 9 blocks of 16 columns, so that splits by 2, 4, 5 and 16 are even, uneven and partly empty.
DEEP = Case(conv(32, 64), plane=(3, 4), images=8, residual=True, tile=64)
LAUNCHES = {
    "rows of a tile in several blocks": replace(SMALL, width=64),
    "filters cut to a narrower launch": replace(SMALL, width=16, block_m=16),
    "narrow and swapped": replace(SMALL, width=16, block_m=16, swap=True),
    "positions in one wide block": replace(SMALL, block_n=256),
    "few positions to a block": replace(SMALL, block_n=16),
    "wide blocks of columns": replace(SMALL, block_k=64),
    "one position tile to a group": replace(SMALL, group=1),
    "groups that do not divide": replace(SMALL, block_n=32, group=3),
    "split in 2": replace(SMALL, split_k=2),
    "split in 4": replace(SMALL, split_k=4),
    "split in 5": replace(SMALL, split_k=5),
    "more shares than blocks": replace(SMALL, split_k=16),
    "split and swapped": replace(SMALL, split_k=3, swap=True),
    "split of several row blocks": replace(SMALL, width=64, split_k=3),
}


@pytest.mark.parametrize("name", NOT_DILATED)
def test_every_layer_in_the_layout_for_few_images(name: str) -> None:
    assert_computes(ONE_GROUP[name], gathered(FP16), SHIFTED)


@pytest.mark.parametrize("swap", [False, True], ids=["", "swapped"])
@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("precision", PRECISIONS.values(), ids=PRECISIONS)
def test_every_precision(precision: Precision, name: str, swap: bool) -> None:
    assert_computes(LAYERS[name], gathered(precision, replace(SMALL, swap=swap)))


@pytest.mark.parametrize("layout", [CHWN, SHIFTED])
@pytest.mark.parametrize("launch", LAUNCHES)
def test_every_launch(launch: str, layout: str) -> None:
    case = DEEP if layout == CHWN else replace(DEEP, images=2)
    assert_computes(case, gathered(FP16, LAUNCHES[launch]), layout)


@pytest.mark.parametrize("images", [1, 3, 8, 9])
def test_any_number_of_images(images: int) -> None:
    assert_computes(replace(LAYERS["3x3"], images=images), gathered(FP16))


@pytest.mark.parametrize("precision", [FP16, FP32], ids=["fp16", "fp32"])
@pytest.mark.parametrize("residual", [False, True], ids=["", "residual"])
@pytest.mark.parametrize("bias", [False, True], ids=["", "bias"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_epilogue(activation: str, bias: bool, residual: bool, precision: Precision) -> None:
    case = Case(conv(8, 32), plane=(4, 4), activation=activation, bias=bias, residual=residual)
    assert_computes(case, gathered(precision))


@pytest.mark.parametrize("width", [32, 64, 128])
def test_pruning_tiles_of_32_joined_into_wider_launch_tiles(width: int) -> None:
    case = Case(conv(8, 160), plane=(4, 4), images=8, tile=32, ratio=0.7)
    assert_computes(case, gathered(FP16, LaunchConfig(width, min(width, 64), 64, 16)))


@pytest.mark.parametrize("layout", [CHWN, SHIFTED])
def test_a_block_pattern_of_rows_and_columns(layout: str) -> None:
    case = Case(conv(16, 150), plane=(5, 5), images=2, tile=32, rows=0.4, residual=True, activation="gelu")
    assert_computes(case, gathered(FP16), layout)


@pytest.mark.parametrize("split", [1, 3])
def test_unbalanced_tiles_come_out_the_same_in_any_order(split: int) -> None:
    packed, epilogue, x, residual = make(
        Case(conv(8, 130), plane=(4, 4), images=8, balanced=False, ratio=0.6, residual=True)
    )
    config = replace(SMALL, block_n=128, split_k=split)
    given, longest = (
        compute(gathered(FP16, config, order)(packed, epilogue), x, residual) for order in ORDERS
    )
    assert_close(given, packed=packed, x=x, epilogue=epilogue, residual=residual, precision=FP16)
    assert torch.equal(given, longest)


def test_a_tile_that_keeps_nothing_between_tiles_that_do() -> None:
    geometry = conv(8, 96)
    keep = torch.rand(3, geometry.columns, generator=torch.Generator().manual_seed(1)) < 0.5
    keep[1] = False
    weight, bias = torch.randn(96, geometry.columns), torch.randn(96)
    packed = pack(weight, keep, torch.ones(96, dtype=torch.bool), 32, geometry)
    x, epilogue = torch.randn(2, 8, 5, 5), Epilogue(bias, "silu")
    y = compute(gathered(FP16)(packed, epilogue), x)
    assert_close(y, packed=packed, x=x, epilogue=epilogue, precision=FP16)


@pytest.mark.parametrize("layout", [CHWN, SHIFTED])
@pytest.mark.parametrize("poison", [torch.nan, torch.inf])
def test_columns_that_no_tile_keeps_are_never_read(poison: float, layout: str) -> None:
    packed, x = without_channels_of_three()
    product = gathered(FP16)(packed, Epilogue())
    clean = compute(product, x, layout=layout)
    x[:, ::3] = poison
    assert torch.equal(compute(product, x, layout=layout), clean)


def test_padding_that_points_at_a_dropped_column_is_seen() -> None:
    """The control of the test above: zero weights at another place than a kept column."""
    packed, x = without_channels_of_three()
    product = gathered(FP16)(packed, Epilogue())
    tiles = product._tables.tiles
    kept = len(packed.tiles[0].columns)
    assert kept % SMALL.block_k, "nothing is padded"
    tiles.taps[:, kept:] = 0
    x[:, ::3] = torch.inf
    assert compute(product, x).isnan().any()


def without_channels_of_three() -> tuple[PackedWeight, Tensor]:
    """A layer of which no tile keeps a tap of channels 0, 3, 6 ..., and an input."""
    random, geometry = torch.Generator().manual_seed(5), conv(10, 64)
    dropped = torch.arange(geometry.columns) // 9 % 3 == 0
    chance = torch.rand(2, geometry.columns, generator=random).masked_fill(dropped, 2.0)
    keep = chance.argsort(1).argsort(1) < 27
    weight = torch.randn(64, geometry.columns, generator=random)
    packed = pack(weight, keep, torch.ones(64, dtype=torch.bool), 32, geometry)
    return packed, torch.randn(2, 10, 6, 6, generator=random)


def test_nan_reaches_the_tiles_that_keep_its_column_alone() -> None:
    geometry, everyone = conv(16, 64, (1, 1)), torch.ones(64, dtype=torch.bool)
    keep = torch.zeros(2, 16, dtype=torch.bool)
    keep[0, :9], keep[1, 5:] = True, True
    packed = pack(torch.randn(64, 16), keep, everyone, 32, geometry)
    x = torch.randn(2, 16, 4, 4)
    x[0, 2] = torch.nan
    y = compute(gathered(FP16)(packed, Epilogue()), x)
    assert y[0, :32].isnan().all() and not y[0, 32:].isnan().any() and not y[1].isnan().any()


@pytest.mark.parametrize("stored", [True, False], ids=["beside y", "alone"])
@pytest.mark.parametrize("shift", [Shift(), Shift(3, 1, 1), Shift(3, 2, 1), Shift(7, 2, 3), Shift(5, 3, 0)])
def test_copies_for_the_next_layer_are_those_of_the_twin(shift: Shift, stored: bool) -> None:
    packed, epilogue, x, _ = make(Case(conv(6, 20), plane=(5, 11), images=2, tile=16))
    product = gathered(FP16)(packed, epilogue)
    source = read_by(product.geometry, x, SHIFTED, FP16)
    y = blank(20, (5, 11), 2, SHIFTED, FP16)
    run(product.bind(source, y), y)
    product.bind(source, y)()
    copies, twin = (
        shifted(20, (5, 11), 2, halo_rows=2, shift=shift, dtype=FP16.dtype, device=DEVICE) for _ in range(2)
    )
    count = shift.positions(11)
    inside(copies)[..., :count] = torch.nan
    outside = copies.buffer.isnan().logical_not()
    # columns in the padding are written by nobody: they are zero from the start
    twin.write(torch.ones(2, 20, 5, 11, dtype=FP16.dtype, device=DEVICE))
    copies.buffer[twin.buffer == 0] = 0
    product.bind(source, y if stored else None, expand=copies)()
    twin.write(y.read())
    assert torch.equal(copies.buffer, twin.buffer)
    assert not copies.buffer[outside].count_nonzero()


CONFIGS = st.builds(
    LaunchConfig,
    width=st.just(32),
    block_m=st.sampled_from((16, 32)),
    block_n=st.sampled_from((32, 128)),
    block_k=st.sampled_from((16, 32)),
    split_k=st.sampled_from((1, 1, 2, 3)),
    swap=st.booleans(),
    group=st.integers(1, 4),
)


@settings(max_examples=20, deadline=None)
@given(
    case=layers(),
    precision=st.sampled_from(list(PRECISIONS.values())),
    config=CONFIGS,
    layout=st.sampled_from((CHWN, SHIFTED)),
    order=st.sampled_from(ORDERS),
)
def test_any_layer_in_any_launch(
    case: Case, precision: Precision, config: LaunchConfig, layout: str, order: str
) -> None:
    geometry = replace(case.geometry, in_channels=case.geometry.in_channels // case.geometry.groups, groups=1)
    if geometry.dilation[1] > 1 and geometry.kernel[1] > 1:
        layout = CHWN
    assert_computes(replace(case, geometry=geometry), gathered(precision, config, order), layout)


def test_a_product_outlives_what_it_was_built_from() -> None:
    case = ONE_GROUP["relu6 and residual"]
    packed, epilogue, x, residual = make(case)
    expected = compute(gathered(FP16)(packed, epilogue), x, residual)
    product = gathered(FP16)(*make(case)[:2])
    clutter = [torch.randn(10_000) for _ in range(50)]
    assert len(clutter) == 50 and torch.equal(compute(product, x, residual), expected)
