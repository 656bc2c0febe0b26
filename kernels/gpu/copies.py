"""Images, or a plain map, into the shifted layout: every copy that a map holds, in one launch.

    y[t, c, n, h, o] = x[n, c, h, o * stride - padding + t], and 0 where that lies outside the plane

t is the kernel column of the layer that reads y, o its output column. The first copies of a product's result
are written by the product itself; this kernel writes the images of the network and further copies. With few
images launches count, so there is one for all copies of a map.
"""

from __future__ import annotations

from collections.abc import Callable

import triton
import triton.language as tl
from torch import Tensor

from kernels.gpu.device_code import positions
from kernels.gpu.feature_map import SHIFTED, FeatureMap
from kernels.gpu.launch import RUN_THREADS, RUN_WARPS


@triton.jit(
    do_not_specialize=[
        *("limit", "inner", "innermost", "width", "count", "stride", "padding"),
        *("x_image", "x_channel", "x_row", "y_base", "y_tap", "y_channel", "y_image", "y_row"),
    ]
)
def shifted_copies(
    x_ptr,
    y_ptr,
    limit,
    inner,
    innermost,
    width,
    count,
    stride,
    padding,
    x_image,
    x_channel,
    x_row,
    y_base,
    y_tap,
    y_channel,
    y_image,
    y_row,
    BLOCK_J: tl.constexpr,
    UNIT: tl.constexpr,
):
    channel = tl.program_id(1).to(tl.int64)
    tap = tl.program_id(2)
    j = tl.program_id(0) * BLOCK_J + tl.arange(0, BLOCK_J)
    image, row, i, valid = positions(j, limit, inner, innermost, UNIT)
    column = i * stride - padding + tap
    inside = valid & (i < count) & (column >= 0) & (column < width)
    x_at = x_ptr + channel * x_channel + (image * x_image + row * x_row + column)
    value = tl.load(x_at, mask=inside, other=0.0)
    # whole units: what pads the last one is written as zeros
    y_at = (tap * y_tap.to(tl.int64) + channel * y_channel) * UNIT
    y_at += (y_base + image * y_image + row * y_row) * UNIT + i
    tl.store(y_ptr + y_at, value.to(y_ptr.dtype.element_ty), mask=valid)


def write_copies(x: Tensor, y: FeatureMap) -> Callable[[], None]:
    """The launch that writes x [N, C, H, W], of any float type, into the interior of every copy of `y`.

    The columns of x must lie next to each other. Raises ValueError for others, for another layout than
    the shifted one and for shapes that differ.
    """
    wanted = (y.images, y.channels, y.height, y.width)
    if y.shift is None or tuple(x.shape) != wanted or x.stride(3) != 1:
        raise ValueError(
            f"expected x of {wanted} with columns side by side for {SHIFTED}, "
            f"got {tuple(x.shape)} with strides {x.stride()} for {y.kind}"
        )
    shift, writing = y.shift, y.writing_grid()
    outer, inner, innermost = y.positions(y.plane)
    arguments = (
        *(outer * inner * innermost // y.unit, inner, innermost // y.unit),
        *(y.width, shift.positions(y.width), shift.stride, shift.padding),
        *x.stride()[:3],
        *(writing.base, y.buffer.stride(0) // y.unit, writing.channel, writing.outer, writing.inner),
    )
    block_j = RUN_THREADS * y.unit  # 16 bytes a thread
    grid = (-(-outer * inner * innermost // block_j), y.channels, shift.taps)

    def run() -> None:
        shifted_copies[grid](x, y.buffer, *arguments, BLOCK_J=block_j, UNIT=y.unit, num_warps=RUN_WARPS)

    return run
