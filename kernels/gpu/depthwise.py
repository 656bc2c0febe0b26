"""Depth-wise convolutions in CHWN: one channel, its own few taps, no matrix product.

    y[c, j] = activation(sum_k w[c, k] * x[c, tap(c, k) + position(j)] + bias[c] + residual[c, j])

One program computes a run of positions of one channel. Taps that a channel's tile dropped are not read.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import triton
import triton.language as tl

from kernels.engines import Epilogue
from kernels.gpu.checks import check_maps
from kernels.gpu.device_code import activated, positions
from kernels.gpu.feature_map import FeatureMap, Grid
from kernels.gpu.gemm import bias_of_rows
from kernels.gpu.launch import RUN_THREADS, RUN_WARPS
from kernels.gpu.launch_tiles import launch_tiles
from kernels.pack import PackedWeight
from kernels.precision import Precision


@triton.jit(
    do_not_specialize=[
        *("limit", "inner", "innermost", "most_taps", "x_base", "x_channel", "x_outer", "x_inner"),
        *("y_base", "y_channel", "y_outer", "y_inner", "r_base", "r_channel", "r_outer", "r_inner"),
    ]
)
def depthwise(
    x_ptr,
    w_ptr,
    taps_ptr,
    counts_ptr,
    bias_ptr,
    residual_ptr,
    y_ptr,
    limit,
    inner,
    innermost,
    most_taps,
    x_base,
    x_channel,
    x_outer,
    x_inner,
    y_base,
    y_channel,
    y_outer,
    y_inner,
    r_base,
    r_channel,
    r_outer,
    r_inner,
    BLOCK_J: tl.constexpr,
    UNIT: tl.constexpr,
    ACTIVATION: tl.constexpr,
    RESIDUAL: tl.constexpr,
):
    channel = tl.program_id(1)
    wide = channel.to(tl.int64)
    j = tl.program_id(0) * BLOCK_J + tl.arange(0, BLOCK_J)
    a, b, i, valid = positions(j, limit, inner, innermost, UNIT)
    x_at = x_ptr + wide * x_channel * UNIT + ((x_base + a * x_outer + b * x_inner) * UNIT + i)
    total = tl.zeros((BLOCK_J,), dtype=tl.float32)
    for k in range(tl.load(counts_ptr + channel)):
        tap = tl.load(taps_ptr + channel * most_taps + k)
        weight = tl.load(w_ptr + channel * most_taps + k).to(tl.float32)
        total += weight * tl.load(x_at + tap * UNIT, mask=valid, other=0.0).to(tl.float32)
    total += tl.load(bias_ptr + channel)
    if RESIDUAL:
        r_at = wide * r_channel * UNIT + ((r_base + a * r_outer + b * r_inner) * UNIT + i)
        total += tl.load(residual_ptr + r_at, mask=valid, other=0.0).to(tl.float32)
    y_at = wide * y_channel * UNIT + ((y_base + a * y_outer + b * y_inner) * UNIT + i)
    tl.store(y_ptr + y_at, activated(total, ACTIVATION).to(x_ptr.dtype.element_ty), mask=valid)


class DepthwiseConv:
    """A depth-wise convolution (groups = channels = filters), pruned or whole, for feature maps in CHWN."""

    def __init__(
        self, packed: PackedWeight, epilogue: Epilogue, *, precision: Precision, device: torch.device | str
    ) -> None:
        reason = declines(packed)
        if reason is not None:
            raise ValueError(reason)
        self.geometry, self.precision, self.activation = packed.geometry, precision, epilogue.activation
        tiles = launch_tiles(packed, width=1, block_k=1, dtype=precision.dtype)
        order = tiles.filters.argsort()  # every channel once, in order
        self._taps = tiles.taps[order]
        self._counts = tiles.blocks[order].to(device)
        self._values = tiles.values[order].to(device)
        self._bias = bias_of_rows(tiles, epilogue)[order].to(device)

    def bind(self, x: FeatureMap, y: FeatureMap, residual: FeatureMap | None = None) -> Callable[[], None]:
        """The launch for these maps: writes the interior of `y`. Raises ValueError where they do not fit."""
        output = check_maps(self.geometry, self.precision, x, y, residual)
        outer, inner, innermost = x.positions(output)
        reading, writing = x.reading_grid(self.geometry), y.writing_grid()
        adding = Grid(0, 0, 0, 0) if residual is None else residual.writing_grid()
        taps = x.tap_offsets(self._taps, self.geometry).int().to(x.device)
        arguments = (
            *(x.buffer, self._values, taps, self._counts, self._bias),
            y.buffer if residual is None else residual.buffer,
            y.buffer,
            *(outer * inner * innermost // x.unit, inner, innermost // x.unit, self._taps.shape[1]),
            *(reading.base, reading.channel, reading.outer, reading.inner),
            *(writing.base, writing.channel, writing.outer, writing.inner),
            *(adding.base, adding.channel, adding.outer, adding.inner),
        )
        block_j = RUN_THREADS * x.unit  # 16 bytes a thread
        grid = (-(-outer * inner * innermost // block_j), self.geometry.rows)

        def run() -> None:
            depthwise[grid](
                *arguments,
                BLOCK_J=block_j,
                UNIT=x.unit,
                ACTIVATION=self.activation,
                RESIDUAL=residual is not None,
                num_warps=RUN_WARPS,
            )

        return run


def declines(packed: PackedWeight) -> str | None:
    """Why a layer is not run by this kernel; None if it is."""
    g = packed.geometry
    if not g.groups == g.in_channels == g.out_channels:
        return f"expected as many groups as channels and filters, got {g.groups} groups of {g.in_channels}"
    return None
