"""Pooling in CHWN follows PyTorch, to the rules at the edges."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from kernels.gpu.feature_map import CHWN
from kernels.gpu.pooling import Pool
from kernels.layout import ConvGeometry
from kernels.precision import BF16, FP16, FP32, Precision
from kernels.testing import UNIT_ROUNDOFF
from tests.kernels.gpu.suite.layers import blank, read_by, rounding, run

LARGEST = {
    "3x3 stride 2": Pool((3, 3), (2, 2), (1, 1)),
    "2x2": Pool((2, 2), (2, 2)),
    "asymmetric": Pool((3, 2), (1, 2), (1, 0)),
    "dilated": Pool((3, 3), (1, 1), (1, 1), dilation=(2, 2)),
    "ceil": Pool((3, 3), (2, 2), ceil=True),
    "ceil and padding": Pool((2, 2), (2, 2), (1, 1), ceil=True),
}
MEANS = {
    "2x2": Pool((2, 2), (2, 2), mean=True),
    "the whole plane": Pool((7, 10), (7, 10), mean=True),
    "padded": Pool((3, 3), (2, 2), (1, 1), mean=True),
    "padding not counted": Pool((3, 3), (2, 2), (1, 1), mean=True, count_padding=False),
    "ceil": Pool((3, 3), (2, 2), (1, 1), mean=True, ceil=True),
    "ceil, padding not counted": Pool((2, 3), (2, 2), (1, 1), mean=True, ceil=True, count_padding=False),
}


def pooled(pool: Pool, x: Tensor, precision: Precision) -> Tensor:
    """[N, C, Ho, Wo] of the kernel, from and to maps with a halo."""
    source = read_by(ConvGeometry(x.shape[1], x.shape[1]), x, CHWN, precision)
    y = blank(x.shape[1], pool.output_size(x.shape[2], x.shape[3]), len(x), CHWN, precision)
    return run(pool.bind(source, y), y)


def numbers(images: int, precision: Precision) -> Tensor:
    return torch.randn(images, 3, 7, 10, generator=torch.Generator().manual_seed(0)).to(precision.dtype)


@pytest.mark.parametrize("precision", [FP16, BF16, FP32], ids=["fp16", "bf16", "fp32"])
@pytest.mark.parametrize("name", LARGEST)
def test_the_largest_value_is_that_of_torch(name: str, precision: Precision) -> None:
    pool, x = LARGEST[name], numbers(9, precision)
    y = pooled(pool, x, precision)
    assert torch.equal(y, of_torch(pool, x.float()).to(precision.dtype))


@pytest.mark.parametrize("precision", [FP16, BF16, FP32], ids=["fp16", "bf16", "fp32"])
@pytest.mark.parametrize("name", MEANS)
def test_the_mean_is_that_of_torch(name: str, precision: Precision) -> None:
    """A sum of n terms and one division err by at most n + 1 roundings of the mean magnitude; then one."""
    pool, x = MEANS[name], numbers(9, precision)
    y, exact = pooled(pool, x, precision).double(), of_torch(pool, x.double())
    summed = (pool.kernel[0] * pool.kernel[1] + 1) * UNIT_ROUNDOFF * of_torch(pool, x.double().abs())
    assert bool(((y - exact).abs() <= summed + rounding(precision).roundoff * (exact.abs() + summed)).all())


@pytest.mark.parametrize("pool", [LARGEST["3x3 stride 2"], MEANS["padded"]], ids=["largest", "mean"])
def test_nan_wins_its_windows(pool: Pool) -> None:
    x = numbers(8, FP16)
    x[3, 1, 2, 4] = torch.nan
    assert torch.equal(pooled(pool, x, FP16).isnan(), of_torch(pool, x.float()).isnan())


def test_a_plane_of_minus_infinity_stays() -> None:
    x = torch.full((8, 1, 4, 4), -torch.inf)
    assert bool((pooled(LARGEST["3x3 stride 2"], x, FP32) == -torch.inf).all())


def of_torch(pool: Pool, x: Tensor) -> Tensor:
    if not pool.mean:
        return F.max_pool2d(x, pool.kernel, pool.stride, pool.padding, pool.dilation, ceil_mode=pool.ceil)
    return F.avg_pool2d(
        x, pool.kernel, pool.stride, pool.padding, ceil_mode=pool.ceil, count_include_pad=pool.count_padding
    )
