"""Pooling: the largest or the mean of each window, with PyTorch's rules for what lies outside.

    y[c, h, w] = max or mean over r, s of x[c, h * stride - padding + r * dilation, w * ...]

Maxima take the values inside the plane only. Means divide by the window's size, with or without its part in
the padding. One program computes a run of positions of one channel; in the shifted layout of one copy, whose
column i is w = i * (stride of the reader) - (its padding) + tap. Every copy is computed anew: windows are
small, and there need not be a plain map to copy from.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import triton
import triton.language as tl
from torch import Tensor
from torch.nn import functional as F

from kernels.gpu.device_code import positions
from kernels.gpu.feature_map import PLAIN, FeatureMap
from kernels.gpu.launch import RUN_THREADS, RUN_WARPS
from kernels.layout import Pair


@triton.jit(
    do_not_specialize=[
        *("limit", "inner", "innermost", "height", "width", "x_base", "x_channel", "x_outer", "x_inner"),
        *("y_base", "y_channel", "y_outer", "y_inner", "kernel_h", "kernel_w", "stride_h", "stride_w"),
        *("padding_h", "padding_w", "dilation_h", "dilation_w"),
        *("y_tap", "y_width", "count", "reader_stride", "reader_padding"),
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
    x_outer,
    x_inner,
    y_base,
    y_channel,
    y_outer,
    y_inner,
    kernel_h,
    kernel_w,
    stride_h,
    stride_w,
    padding_h,
    padding_w,
    dilation_h,
    dilation_w,
    y_tap,
    y_width,
    count,
    reader_stride,
    reader_padding,
    BLOCK_J: tl.constexpr,
    UNIT: tl.constexpr,
    MEAN: tl.constexpr,
    COUNT_PADDING: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    channel = tl.program_id(1).to(tl.int64)
    tap = tl.program_id(2)
    j = tl.program_id(0) * BLOCK_J + tl.arange(0, BLOCK_J)
    a, b, i, valid = positions(j, limit, inner, innermost, UNIT)
    x_at = x_ptr + channel * x_channel * UNIT
    # ---- where the window of each position begins
    if COLUMNS:  # a is the image, b the row, and i the column as the reader moves over them
        w = i * reader_stride - reader_padding + tap
        real = valid & (i < count) & (w >= 0) & (w < y_width)
        top = b * stride_h - padding_h
        left = w * stride_w - padding_w
        x_at += (x_base + a * x_outer) * UNIT
    else:  # a is the row, b the column, and i the image
        real = valid
        top = a * stride_h - padding_h
        left = b * stride_w - padding_w
        x_at += x_base * UNIT + i
    if MEAN:
        total = tl.zeros((BLOCK_J,), dtype=tl.float32)
    else:
        total = tl.full((BLOCK_J,), float("-inf"), dtype=tl.float32)
    for r in range(kernel_h):
        row = top + r * dilation_h
        for s in range(kernel_w):
            column = left + s * dilation_w
            inside = real & (row >= 0) & (row < height) & (column >= 0) & (column < width)
            if COLUMNS:
                at = x_at + row * x_inner * UNIT + column
            else:
                at = x_at + (row * x_outer + column * x_inner) * UNIT
            if MEAN:
                total += tl.load(at, mask=inside, other=0.0).to(tl.float32)
            else:
                value = tl.load(at, mask=inside, other=float("-inf")).to(tl.float32)
                # a NaN wins, as it does in PyTorch
                total = tl.maximum(total, value, propagate_nan=tl.PropagateNan.ALL)
    if MEAN:
        bottom = tl.minimum(top + kernel_h, height + padding_h)
        right = tl.minimum(left + kernel_w, width + padding_w)
        if not COUNT_PADDING:
            top = tl.maximum(top, 0)
            left = tl.maximum(left, 0)
            bottom = tl.minimum(bottom, height)
            right = tl.minimum(right, width)
        total = total / ((bottom - top) * (right - left)).to(tl.float32)
    if COLUMNS:  # what pads a copy is written too, as zeros
        total = tl.where(real, total, 0.0)
    y_at = y_ptr + (tap * y_tap.to(tl.int64) + channel * y_channel) * UNIT
    y_at += (y_base + a * y_outer + b * y_inner) * UNIT + i
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
        """The launch from plain `x` to the interior of `y`, or of each of its copies.

        Raises ValueError where the two do not fit.
        """
        self._check(x, y)
        outer, inner, innermost = y.positions(y.plane)
        reading, writing, reader = x.writing_grid(), y.writing_grid(), y.shift or PLAIN
        arguments = (
            *(x.buffer, y.buffer),
            *(outer * inner * innermost // x.unit, inner, innermost // x.unit, *x.plane),
            *(reading.base, reading.channel, reading.outer, reading.inner),
            *(writing.base, writing.channel, writing.outer, writing.inner),
            *(*self.kernel, *self.stride, *self.padding, *self.dilation),
            *(0 if y.shift is None else y.buffer.stride(0) // y.unit, y.width),
            *(reader.positions(y.width), reader.stride, reader.padding),
        )
        block_j = RUN_THREADS * x.unit  # 16 bytes a thread
        grid = (-(-outer * inner * innermost // block_j), x.channels, reader.taps)

        def run() -> None:
            pool[grid](
                *arguments,
                BLOCK_J=block_j,
                UNIT=x.unit,
                MEAN=self.mean,
                COUNT_PADDING=self.count_padding,
                COLUMNS=y.shift is not None,
                num_warps=RUN_WARPS,
            )

        return run

    def _check(self, x: FeatureMap, y: FeatureMap) -> None:
        if x.kind != y.kind or x.dtype != y.dtype or x.shift not in (None, PLAIN):
            copies = "" if x.shift in (None, PLAIN) else f", x shifted for {x.shift}"
            raise ValueError(
                f"expected a plain x and y in one layout of one type, "
                f"got {x.kind} {x.dtype}, {y.kind} {y.dtype}{copies}"
            )
        wanted, found = (
            (x.channels, *self.output_size(*x.plane), x.images),
            (y.channels, *y.plane, y.images),
        )
        if wanted != found:
            raise ValueError(f"expected y of channels, height, width, images {wanted}, got {found}")
