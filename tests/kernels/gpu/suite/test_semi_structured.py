"""2:4 products on a GPU; what needs none is in tests/kernels/gpu/test_semi_structured.py."""

from __future__ import annotations

import pytest

from kernels.gpu.feature_map import chwn
from kernels.gpu.semi_structured import SemiStructuredGemm, missing_reason
from kernels.precision import BF16, FP16, Precision
from kernels.testing import assert_close
from tests.kernels.gpu.test_semi_structured import two_of_four

if (reason := missing_reason()) is not None:
    pytest.skip(reason, allow_module_level=True)


@pytest.mark.parametrize("precision", [FP16, BF16], ids=["fp16", "bf16"])
@pytest.mark.parametrize("images", [8, 3])
def test_a_product_computes_the_masked_layer(images: int, precision: Precision) -> None:
    packed, epilogue, x, residual = two_of_four(images)
    maps = [
        chwn(channels, (5, 6), images, dtype=precision.dtype, device="cuda")
        for channels in (packed.geometry.columns, packed.geometry.rows, packed.geometry.rows)
    ]
    source, y, added = maps
    source.write(x.to("cuda"))
    added.write(residual.to("cuda"))
    SemiStructuredGemm(packed, epilogue, precision=precision, device="cuda").bind(source, y, added)()
    assert_close(
        y.read().cpu(),
        packed=packed,
        x=x,
        epilogue=epilogue,
        residual=residual,
        precision=precision,
        stores=2,
    )
