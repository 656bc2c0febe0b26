"""Pooling follows PyTorch, to the rules at the edges, in both layouts and into every copy."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from kernels.gpu.feature_map import CHWN, SHIFTED, Shift, shifted
from kernels.gpu.pooling import Pool
from kernels.layout import ConvGeometry
from kernels.precision import BF16, FP16, FP32, Precision
from kernels.testing import UNIT_ROUNDOFF
from tests.kernels.gpu.suite.layers import DEVICE, blank, inside, read_by, rounding, run

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


LAYOUTS = [(CHWN, 9), (SHIFTED, 2)]


def pooled(pool: Pool, x: Tensor, precision: Precision, layout: str = CHWN) -> Tensor:
    """[N, C, Ho, Wo] of the kernel, from and to maps with a halo."""
    source = read_by(ConvGeometry(x.shape[1], x.shape[1]), x, layout, precision)
    y = blank(x.shape[1], pool.output_size(x.shape[2], x.shape[3]), len(x), layout, precision)
    return run(pool.bind(source, y), y)


def numbers(images: int, precision: Precision) -> Tensor:
    return torch.randn(images, 3, 7, 10, generator=torch.Generator().manual_seed(0)).to(precision.dtype)


@pytest.mark.parametrize("precision", [FP16, BF16, FP32], ids=["fp16", "bf16", "fp32"])
@pytest.mark.parametrize("name", LARGEST)
@pytest.mark.parametrize(("layout", "images"), LAYOUTS)
def test_the_largest_value_is_that_of_torch(
    layout: str, images: int, name: str, precision: Precision
) -> None:
    pool, x = LARGEST[name], numbers(images, precision)
    y = pooled(pool, x, precision, layout)
    assert torch.equal(y, pool.reference(x.float()).to(precision.dtype))


@pytest.mark.parametrize("precision", [FP16, BF16, FP32], ids=["fp16", "bf16", "fp32"])
@pytest.mark.parametrize("name", MEANS)
@pytest.mark.parametrize(("layout", "images"), LAYOUTS)
def test_the_mean_is_that_of_torch(layout: str, images: int, name: str, precision: Precision) -> None:
    """A sum of n terms and one division err by at most n + 1 roundings of the mean magnitude; then one."""
    pool, x = MEANS[name], numbers(images, precision)
    y, exact = pooled(pool, x, precision, layout).double(), pool.reference(x.double())
    summed = (pool.kernel[0] * pool.kernel[1] + 1) * UNIT_ROUNDOFF * pool.reference(x.double().abs())
    assert bool(((y - exact).abs() <= summed + rounding(precision).roundoff * (exact.abs() + summed)).all())


@pytest.mark.parametrize("pool", [LARGEST["3x3 stride 2"], MEANS["padded"]], ids=["largest", "mean"])
@pytest.mark.parametrize(("layout", "images"), LAYOUTS)
def test_nan_wins_its_windows(layout: str, images: int, pool: Pool) -> None:
    x = numbers(images, FP16)
    x[-1, 1, 2, 4] = torch.nan
    assert torch.equal(pooled(pool, x, FP16, layout).isnan(), pool.reference(x.float()).isnan())


@pytest.mark.parametrize("shift", [Shift(3, 1, 1), Shift(3, 2, 1), Shift(1, 2, 0), Shift(2, 3, 4)], ids=str)
@pytest.mark.parametrize("pool", [LARGEST["ceil and padding"], MEANS["padded"]], ids=["largest", "mean"])
def test_every_copy_of_the_next_layer_is_written(pool: Pool, shift: Shift) -> None:
    """What pads a copy stays finite: the next layer multiplies it, if only into what pads its own result."""
    x = numbers(3, FP16)
    plane, found = pool.output_size(7, 10), pooled(pool, x, FP16, SHIFTED)
    copies, twin = (
        shifted(3, plane, 3, halo_rows=1, shift=shift, dtype=FP16.dtype, device=DEVICE) for _ in range(2)
    )
    twin.write(found)
    inside(copies).fill_(torch.nan)
    pool.bind(read_by(ConvGeometry(3, 3), x, SHIFTED, FP16), copies)()
    assert torch.equal(copies.buffer, twin.buffer)


def test_a_plane_of_minus_infinity_stays() -> None:
    x = torch.full((8, 1, 4, 4), -torch.inf)
    assert bool((pooled(LARGEST["3x3 stride 2"], x, FP32) == -torch.inf).all())
