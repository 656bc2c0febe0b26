"""The one conversion a network needs: images [N, C, H, W] into CHWN, a tile at a time.

    y[c, h, w, n] = x[n, c, h, w]

A tile of pixels x images of one channel is read along the pixels and written along the images.
"""

from __future__ import annotations

from collections.abc import Callable

import triton
import triton.language as tl
from torch import Tensor

from kernels.gpu.feature_map import CHWN, FeatureMap

BLOCK_P, BLOCK_N, WARPS = 64, 32, 4


@triton.jit(
    do_not_specialize=[
        *("images", "channels", "pixels", "width", "innermost"),
        *("y_base", "y_channel", "y_row", "y_column"),
    ]
)
def nchw_to_chwn(
    x_ptr,
    y_ptr,
    images,
    channels,
    pixels,
    width,
    innermost,
    y_base,
    y_channel,
    y_row,
    y_column,
    BLOCK_P: tl.constexpr,
    BLOCK_N: tl.constexpr,
    UNIT: tl.constexpr,
):
    channel = tl.program_id(2).to(tl.int64)
    p = tl.program_id(0) * BLOCK_P + tl.arange(0, BLOCK_P)
    n = tl.program_id(1) * BLOCK_N + tl.arange(0, BLOCK_N)
    rows = (n.to(tl.int64) * channels + channel) * pixels
    inside = (n < images)[:, None] & (p < pixels)[None, :]
    tile = tl.load(x_ptr + rows[:, None] + p[None, :], mask=inside, other=0.0)
    at = (y_base + channel * y_channel + (p // width) * y_row + (p % width) * y_column) * UNIT
    # whole units: the images that pad the last one are written as zeros
    kept = (p < pixels)[:, None] & (n < innermost * UNIT)[None, :]
    tl.store(y_ptr + at[:, None] + n[None, :], tl.trans(tile).to(y_ptr.dtype.element_ty), mask=kept)


def convert_in(x: Tensor, y: FeatureMap) -> Callable[[], None]:
    """The launch that copies contiguous x [N, C, H, W], of any float type, into the interior of `y`.

    Raises ValueError for another layout than CHWN or shapes that differ.
    """
    wanted = (y.images, y.channels, y.height, y.width)
    if y.kind != CHWN or tuple(x.shape) != wanted or not x.is_contiguous():
        raise ValueError(f"expected a contiguous x of {wanted} for {CHWN}, got {tuple(x.shape)} for {y.kind}")
    pixels, writing = y.height * y.width, y.writing_grid()
    grid = (-(-pixels // BLOCK_P), -(-y.innermost // BLOCK_N), y.channels)
    sizes = (y.images, y.channels, pixels, y.width, y.innermost // y.unit)
    steps = (writing.base, writing.channel, writing.outer, writing.inner)

    def run() -> None:
        nchw_to_chwn[grid](
            x, y.buffer, *sizes, *steps, BLOCK_P=BLOCK_P, BLOCK_N=BLOCK_N, UNIT=y.unit, num_warps=WARPS
        )

    return run
