"""Images into CHWN, compared with FeatureMap.write."""

from __future__ import annotations

import pytest
import torch

from kernels.gpu.feature_map import chwn
from kernels.gpu.transpose import convert_in
from kernels.layout import Pair
from kernels.precision import BF16, FP16, FP32, Precision
from tests.kernels.gpu.suite.layers import DEVICE, inside


@pytest.mark.parametrize("given", [FP32, FP16, BF16], ids=["from fp32", "from fp16", "from bf16"])
@pytest.mark.parametrize("wanted", [FP32, FP16], ids=["to fp32", "to fp16"])
def test_every_type(given: Precision, wanted: Precision) -> None:
    assert_converts(3, (7, 10), 5, given, wanted)


@pytest.mark.parametrize("images", [1, 8, 33])
@pytest.mark.parametrize("plane", [(1, 1), (13, 5)])
def test_every_size(plane: Pair, images: int) -> None:
    assert_converts(4, plane, images, FP32, FP16)


def assert_converts(channels: int, plane: Pair, images: int, given: Precision, wanted: Precision) -> None:
    x = torch.randn(images, channels, *plane, device=DEVICE).to(given.dtype)
    made, twin = (
        chwn(channels, plane, images, halo=(2, 1), dtype=wanted.dtype, device=DEVICE) for _ in range(2)
    )
    twin.write(x)
    inside(made).fill_(torch.nan)
    convert_in(x, made)()
    assert torch.equal(made.buffer, twin.buffer), "also halo and padding images are those of the twin: zero"
