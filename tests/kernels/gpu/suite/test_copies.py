"""Images and plain maps into shifted copies, compared with FeatureMap.write, bit by bit."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from kernels.gpu.copies import write_copies
from kernels.gpu.feature_map import PLAIN, FeatureMap, Shift, shifted
from kernels.layout import Pair
from kernels.precision import BF16, FP16, FP32, Precision
from tests.kernels.gpu.suite.layers import DEVICE, inside

SHIFTS = {
    "plain": PLAIN,
    "3x3": Shift(3, 1, 1),
    "3x3 stride 2": Shift(3, 2, 1),
    "1x1 stride 2": Shift(1, 2, 0),
    "7x7 stem": Shift(7, 2, 3),
    "without padding": Shift(3, 1, 0),
    "padding beyond the kernel": Shift(2, 3, 4),
}


def blank(channels: int, plane: Pair, images: int, shift: Shift, precision: Precision) -> FeatureMap:
    of = {"halo_rows": 2, "shift": shift, "dtype": precision.dtype, "device": DEVICE}
    return shifted(channels, plane, images, **of)


def assert_copies(x: Tensor, shift: Shift, wanted: Precision) -> None:
    """Also the halo and what pads the columns are those of the twin: zero."""
    images, channels, *plane = x.shape
    made, twin = (blank(channels, (plane[0], plane[1]), images, shift, wanted) for _ in range(2))
    twin.write(x)
    inside(made).fill_(torch.nan)
    write_copies(x, made)()
    assert torch.equal(made.buffer, twin.buffer)


@pytest.mark.parametrize("images", [1, 3])
@pytest.mark.parametrize("plane", [(5, 13), (1, 8), (7, 6)], ids=str)
@pytest.mark.parametrize("shift", SHIFTS.values(), ids=SHIFTS)
def test_every_reader_finds_its_copies(shift: Shift, plane: Pair, images: int) -> None:
    assert_copies(torch.randn(images, 2, *plane, device=DEVICE), shift, FP16)


@pytest.mark.parametrize("given", [FP32, FP16, BF16], ids=["from fp32", "from fp16", "from bf16"])
@pytest.mark.parametrize("wanted", [FP32, FP16], ids=["to fp32", "to fp16"])
def test_every_type(given: Precision, wanted: Precision) -> None:
    assert_copies(torch.randn(2, 3, 4, 9, device=DEVICE).to(given.dtype), SHIFTS["3x3"], wanted)


def test_a_plane_of_many_programs_is_copied_whole() -> None:
    assert_copies(torch.randn(1, 2, 40, 57, device=DEVICE), SHIFTS["3x3 stride 2"], FP16)


@pytest.mark.parametrize("shift", [SHIFTS["3x3"], SHIFTS["1x1 stride 2"]], ids=["3x3", "1x1 stride 2"])
def test_further_copies_are_made_from_the_plain_map(shift: Shift) -> None:
    """Its rows are padded, its columns lie side by side; what pads them is not read."""
    source = blank(3, (6, 11), 2, PLAIN, FP16)
    source.write(torch.randn(2, 3, 6, 11))
    inside(source)[..., 11:] = 1000.0
    assert_copies(source.nchw(), shift, FP16)
