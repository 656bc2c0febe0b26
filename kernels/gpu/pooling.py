"""Pooling in CHWN: the largest or the mean of each window, with PyTorch's rules for what lies outside.

    y[c, a, b] = max or mean over r, s of x[c, a * stride - padding + r * dilation, b * ...]

Maxima take the values inside the plane only. Means divide by the window's size, with or without its part in
the padding. One program computes a run of positions of one channel.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import triton
import triton.language as tl
from torch import Tensor
from torch.nn import functional as F

from kernels.gpu.device_code import positions
from kernels.gpu.feature_map import CHWN, FeatureMap
from kernels.gpu.launch import RUN_THREADS, RUN_WARPS
from kernels.layout import Pair


@triton.jit(
    do_not_specialize=[
        *("limit", "inner", "innermost", "height", "width", "x_base", "x_channel", "x_row", "x_column"),
        *("y_base", "y_channel", "y_row", "y_column", "kernel_h", "kernel_w", "stride_h", "stride_w"),
        *("padding_h", "padding_w", "dilation_h", "dilation_w"),
    ]
)
def pool(
    x_ptr,
    y_ptr,
    limit,
    inner,
    innermost,
    height,
    width,
    x_base,
    x_channel,
    x_row,
    x_column,
    y_base,
    y_channel,
    y_row,
    y_column,
    kernel_h,
    kernel_w,
    stride_h,
    stride_w,
    padding_h,
    padding_w,
    dilation_h,
    dilation_w,
    BLOCK_J: tl.constexpr,
    UNIT: tl.constexpr,
    MEAN: tl.constexpr,
    COUNT_PADDING: tl.constexpr,
):
    channel = tl.program_id(1).to(tl.int64)
    j = tl.program_id(0) * BLOCK_J + tl.arange(0, BLOCK_J)
    a, b, i, valid = positions(j, limit, inner, innermost, UNIT)
    x_at = x_ptr + channel * x_channel * UNIT + i
    if MEAN:
        total = tl.zeros((BLOCK_J,), dtype=tl.float32)
    else:
        total = tl.full((BLOCK_J,), float("-inf"), dtype=tl.float32)
    for r in range(kernel_h):
        row = a * stride_h - padding_h + r * dilation_h
        for s in range(kernel_w):
            column = b * stride_w - padding_w + s * dilation_w
            inside = valid & (row >= 0) & (row < height) & (column >= 0) & (column < width)
            at = x_at + (x_base + row * x_row + column * x_column) * UNIT
            if MEAN:
                total += tl.load(at, mask=inside, other=0.0).to(tl.float32)
            else:
                value = tl.load(at, mask=inside, other=float("-inf")).to(tl.float32)
                # a NaN wins, as it does in PyTorch
                total = tl.maximum(total, value, propagate_nan=tl.PropagateNan.ALL)
    if MEAN:
        top = a * stride_h - padding_h
        left = b * stride_w - padding_w
        bottom = tl.minimum(top + kernel_h, height + padding_h)
        right = tl.minimum(left + kernel_w, width + padding_w)
        if not COUNT_PADDING:
            top = tl.maximum(top, 0)
            left = tl.maximum(left, 0)
            bottom = tl.minimum(bottom, height)
            right = tl.minimum(right, width)
        total = total / ((bottom - top) * (right - left)).to(tl.float32)
    y_at = y_ptr + channel * y_channel * UNIT + ((y_base + a * y_row + b * y_column) * UNIT + i)
    tl.store(y_at, total.to(x_ptr.dtype.element_ty), mask=valid)


@dataclass(frozen=True)
class Pool:
    """A window that moves over the plane. `mean` takes averages, which have no dilation.

    >>> Pool((3, 3), (2, 2), (1, 1)).output_size(112, 112)
    (56, 56)
    """

    kernel: Pair
    stride: Pair
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    mean: bool = False
    count_padding: bool = True
    ceil: bool = False

    @property
    def is_identity(self) -> bool:
        """Whether every window is one value, and each value is in one."""
        return self.kernel == self.stride == (1, 1) and self.padding == (0, 0)

    def output_size(self, height: int, width: int) -> Pair:
        return self._length(0, height), self._length(1, width)

    def _length(self, axis: int, size: int) -> int:
        kernel, stride, padding = self.kernel[axis], self.stride[axis], self.padding[axis]
        reach = size + 2 * padding - self.dilation[axis] * (kernel - 1) - 1
        count = (-(-reach // stride) if self.ceil else reach // stride) + 1
        # a window that would begin beyond the plane and its left padding is left out
        return count - 1 if self.ceil and (count - 1) * stride >= size + padding else count

    def reference(self, x: Tensor) -> Tensor:
        """The plain twin: x [N, C, H, W] to [N, C, Ho, Wo] by PyTorch."""
        if self.mean:
            return F.avg_pool2d(
                x, self.kernel, self.stride, self.padding, self.ceil, count_include_pad=self.count_padding
            )
        return F.max_pool2d(x, self.kernel, self.stride, self.padding, self.dilation, self.ceil)

    def bind(self, x: FeatureMap, y: FeatureMap) -> Callable[[], None]:
        """The launch from `x` to the interior of `y`, both in CHWN. ValueError where they do not fit."""
        output = self.output_size(*x.plane)
        wanted, found = (x.channels, *output, x.images), (y.channels, *y.plane, y.images)
        if x.kind != CHWN or y.kind != CHWN or x.dtype != y.dtype:
            found_kinds = f"{x.kind} {x.dtype}, {y.kind} {y.dtype}"
            raise ValueError(f"expected maps in {CHWN} of one type, got {found_kinds}")
        if wanted != found:
            raise ValueError(f"expected y of channels, height, width, images {wanted}, got {found}")
        outer, inner, innermost = x.positions(output)
        reading, writing = x.writing_grid(), y.writing_grid()
        arguments = (
            *(x.buffer, y.buffer),
            *(outer * inner * innermost // x.unit, inner, innermost // x.unit, *x.plane),
            *(reading.base, reading.channel, reading.outer, reading.inner),
            *(writing.base, writing.channel, writing.outer, writing.inner),
            *(*self.kernel, *self.stride, *self.padding, *self.dilation),
        )
        block_j = RUN_THREADS * x.unit  # 16 bytes a thread
        grid = (-(-outer * inner * innermost // block_j), x.channels)

        def run() -> None:
            pool[grid](
                *arguments,
                BLOCK_J=block_j,
                UNIT=x.unit,
                MEAN=self.mean,
                COUNT_PADDING=self.count_padding,
                num_warps=RUN_WARPS,
            )

        return run
