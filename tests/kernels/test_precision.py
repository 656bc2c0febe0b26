"""The number formats, against what torch says of them."""

from __future__ import annotations

import pytest
import torch

from kernels.precision import BF16, FP16, FP32, PRECISIONS, TF32, Precision, for_dtype, torch_products


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


@pytest.mark.parametrize("precision", [FP32, TF32], ids=lambda precision: precision.name)
def test_the_library_multiplies_as_asked_and_tries_all_its_algorithms_only_meanwhile(precision) -> None:
    cudnn = torch.backends.cudnn

    def settings() -> tuple[object, ...]:
        matmul = torch.get_float32_matmul_precision()
        return matmul, cudnn.allow_tf32, cudnn.benchmark, cudnn.benchmark_limit

    before = settings()
    tf32 = precision == TF32
    with torch_products(precision):
        assert settings() == ("high" if tf32 else "highest", tf32, True, 0)
    assert settings() == before
