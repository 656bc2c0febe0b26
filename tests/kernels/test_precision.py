"""The number formats, against what torch says of them."""

from __future__ import annotations

import pytest
import torch

from kernels.precision import BF16, FP16, FP32, PRECISIONS, TF32, Precision, for_dtype


@pytest.mark.parametrize("precision", PRECISIONS.values(), ids=PRECISIONS)
def test_the_roundoff_is_half_the_distance_of_two_numbers(precision: Precision) -> None:
    assert precision.roundoff == torch.finfo(precision.dtype).eps / 2
    assert precision.unit * precision.dtype.itemsize == 16


def test_a_type_names_the_precision_that_multiplies_it_exactly() -> None:
    assert [for_dtype(dtype) for dtype in (torch.float32, torch.float16, torch.bfloat16)] == [
        FP32,
        FP16,
        BF16,
    ]
    assert TF32.product_roundoff > 0 == FP32.product_roundoff


def test_other_types_are_refused() -> None:
    with pytest.raises(ValueError, match=r"expected one of .*float32, .*float16, .*bfloat16, got"):
        for_dtype(torch.int8)
