"""The number formats a GPU kernel may run in, and how far each may round."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Precision:
    """How values are stored (`dtype`) and how their products are taken; sums are always float32.

    `roundoff` is the unit roundoff of the stored values, `product_roundoff` that of the factors as the
    tensor cores read them. `dot` is Triton's name for the way float32 factors are multiplied.
    """

    name: str
    title: str
    dtype: torch.dtype
    roundoff: float
    product_roundoff: float
    dot: str = "ieee"

    @property
    def unit(self) -> int:
        """Values per 16 bytes."""
        return 16 // self.dtype.itemsize


# tf32 keeps 10 bits of a factor's fraction and may cut the rest off, so it errs by up to 2^-10.
PRECISIONS: dict[str, Precision] = {
    precision.name: precision
    for precision in (
        Precision("fp32", "float32", torch.float32, 2.0**-24, 0.0),
        Precision("tf32", "TensorFloat-32", torch.float32, 2.0**-24, 2.0**-10, dot="tf32"),
        Precision("fp16", "float16", torch.float16, 2.0**-11, 0.0),
        Precision("bf16", "bfloat16", torch.bfloat16, 2.0**-8, 0.0),
    )
}
FP32, TF32, FP16, BF16 = PRECISIONS.values()


def for_dtype(dtype: torch.dtype) -> Precision:
    """The precision that stores `dtype` and multiplies it exactly. Raises ValueError for other types."""
    for precision in PRECISIONS.values():
        if precision.dtype == dtype:
            return precision
    known = ", ".join(str(precision.dtype) for precision in (FP32, FP16, BF16))
    raise ValueError(f"expected one of {known}, got {dtype}")


@contextmanager
def torch_products(precision: Precision) -> Iterator[None]:
    """Let PyTorch multiply float32 as `precision` says, exactly or in TensorFloat-32 on a GPU, at its best.

    cuDNN then times all its algorithms on the first call of a shape: a product by its guess, or by the best
    of the ten that PyTorch lets it try, is no yardstick.
    """
    tf32 = precision.dot == "tf32"
    matmul, convolution = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("high" if tf32 else "highest")
    torch.backends.cudnn.allow_tf32 = tf32
    searched, torch.backends.cudnn.benchmark = torch.backends.cudnn.benchmark, True
    tried = torch.backends.cudnn.benchmark_limit
    torch.backends.cudnn.benchmark_limit = 0
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(matmul)
        torch.backends.cudnn.allow_tf32 = convolution
        torch.backends.cudnn.benchmark = searched
        torch.backends.cudnn.benchmark_limit = tried
