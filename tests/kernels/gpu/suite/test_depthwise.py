"""Depth-wise convolutions, whole and pruned."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from kernels.engines import Epilogue
from kernels.gpu.depthwise import DepthwiseConv
from kernels.gpu.feature_map import CHWN, SHIFTED
from kernels.layout import ConvGeometry, Pair
from kernels.pack import PackedWeight, pack
from kernels.precision import FP16, PRECISIONS, Precision
from tests.kernels.cases import Case, conv
from tests.kernels.gpu.suite.layers import DEVICE, assert_computes, compute


def depthwise(channels: int, kernel: Pair = (3, 3), **options: Pair) -> ConvGeometry:
    return conv(channels, channels, kernel, groups=channels, **options)


LAYERS = {
    "3x3": Case(depthwise(6), tile=1, ratio=0.0, images=9),
    "3x3 pruned": Case(depthwise(6), tile=1, images=8, residual=True, activation="relu6"),
    "tiles of channels": Case(depthwise(20), tile=8, images=3, balanced=False, activation="silu"),
    "stride 2": Case(depthwise(5, stride=(2, 2)), plane=(9, 8), tile=1, images=8, bias=False),
    "5x5 and gelu": Case(depthwise(4, (5, 5)), tile=1, images=8, activation="gelu"),
    "dilated": Case(depthwise(4, dilation=(2, 2), padding=(2, 2)), tile=1, images=8, activation="none"),
    "several blocks": Case(depthwise(3), plane=(14, 15), tile=1, images=8),
    "nothing kept": Case(depthwise(4), tile=1, ratio=1.0, images=8, residual=True),
    "channels removed": Case(depthwise(9), tile=1, rows=0.5, images=8, residual=True),
}


@pytest.mark.parametrize("name", LAYERS)
def test_every_layer(name: str) -> None:
    assert_computes(LAYERS[name], lambda packed, epilogue: built(packed, epilogue, FP16))


@pytest.mark.parametrize("precision", PRECISIONS.values(), ids=PRECISIONS)
def test_every_precision(precision: Precision) -> None:
    assert_computes(LAYERS["3x3 pruned"], lambda packed, epilogue: built(packed, epilogue, precision))


@pytest.mark.parametrize("images", [1, 2])
def test_the_layout_for_few_images(images: int) -> None:
    case = replace(LAYERS["stride 2"], images=images)
    assert_computes(case, lambda packed, epilogue: built(packed, epilogue, FP16), SHIFTED)


def test_taps_that_were_dropped_are_not_read() -> None:
    keep = torch.tensor([[True] * 3 + [False] * 6, [False] * 9])
    packed = pack(torch.randn(2, 9), keep, torch.ones(2, dtype=torch.bool), 1, depthwise(2, padding=(0, 0)))
    x = torch.randn(8, 2, 5, 5)
    clean = compute(built(packed, Epilogue(), FP16), x, layout=CHWN)
    x[:, 0, 3:], x[:, 1] = torch.nan, torch.inf
    assert torch.equal(compute(built(packed, Epilogue(), FP16), x), clean)


def built(packed: PackedWeight, epilogue: Epilogue, precision: Precision) -> DepthwiseConv:
    return DepthwiseConv(packed, epilogue, precision=precision, device=DEVICE)
