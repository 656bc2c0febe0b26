"""The streaming product computes what the gathered one does, for sums that stay on the chip."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from kernels.engines import Epilogue
from kernels.gpu.feature_map import CHWN, SHIFTED
from kernels.gpu.launch import LaunchConfig
from kernels.gpu.stream import StreamingGemm
from kernels.pack import PackedWeight, pack
from kernels.precision import FP16, PRECISIONS, Precision
from tests.kernels.cases import CASES, Case, conv
from tests.kernels.gpu.suite.layers import DEVICE, SMALL, assert_computes, compute

LAYERS = {
    "1x1": CASES["1x1"],
    "1x1 stride 2": CASES["1x1 stride 2"],
    "linear": CASES["linear"],
    "3x3 of few columns": Case(conv(4, 40), images=9, residual=True),
    "ragged filters": Case(conv(64, 70, (1, 1)), plane=(5, 5), images=8, residual=True, activation="silu"),
    "tiles of 16": Case(conv(24, 48, (1, 1)), plane=(5, 5), images=8, tile=16, ratio=0.75, bias=False),
    "unbalanced": Case(conv(40, 96, (1, 1)), plane=(4, 4), images=8, balanced=False, activation="gelu"),
    "permuted": Case(conv(64, 70, (1, 1)), plane=(5, 5), images=8, permuted=True, residual=True),
    "rows removed": Case(conv(24, 64, (1, 1)), plane=(4, 4), images=8, ratio=0.0, residual=True),
}


def streamed(
    precision: Precision, config: LaunchConfig = SMALL
) -> Callable[[PackedWeight, Epilogue], StreamingGemm]:
    return lambda packed, epilogue: StreamingGemm(
        packed, epilogue, config=config, precision=precision, device=DEVICE
    )


@pytest.mark.parametrize("layout", [CHWN, SHIFTED])
@pytest.mark.parametrize("name", LAYERS)
def test_every_layer(name: str, layout: str) -> None:
    case = LAYERS[name] if layout == CHWN else replace(LAYERS[name], images=2)
    assert_computes(case, streamed(FP16), layout)


@pytest.mark.parametrize("precision", PRECISIONS.values(), ids=PRECISIONS)
def test_every_precision(precision: Precision) -> None:
    assert_computes(LAYERS["ragged filters"], streamed(precision))


@pytest.mark.parametrize("width", [16, 64, 128])
def test_launch_tiles_of_any_width(width: int) -> None:
    assert_computes(LAYERS["tiles of 16"], streamed(FP16, LaunchConfig(width, 16, 32, 16)))


def test_columns_that_no_tile_keeps_are_never_read() -> None:
    keep = torch.rand(2, 30, generator=torch.Generator().manual_seed(2)) < 0.6
    keep[:, ::3] = False
    geometry, everyone = conv(30, 64, (1, 1)), torch.ones(64, dtype=torch.bool)
    product = streamed(FP16)(pack(torch.randn(64, 30), keep, everyone, 32, geometry), Epilogue())
    x = torch.randn(8, 30, 3, 3)
    clean = compute(product, x)
    for poison in (torch.nan, torch.inf):
        x[:, ::3] = poison
        assert torch.equal(compute(product, x), clean)
