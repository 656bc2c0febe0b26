"""The gathered product: pruned convolutions of any geometry on an NVIDIA GPU.

    y[m, j] = activation(sum_k w[m, k] * x[tap(tile(m), k) + position(j)] + bias[m] + residual[m, j])

A launch tile keeps the columns k, its `taps` say where each lies in the input's feature map, and j runs over
all output positions of all images. Kernel size, stride, padding and dilation are in the taps and strides
only, so one compiled kernel serves every layer of a network that shares block sizes, activation and residual.

Every integer argument counts 16-byte units, so the compiler derives the alignment it needs for whole copies
by itself. Offsets are loaded one block of columns ahead (the table has a spare block at its end), which keeps
the pipeline full. With `split_k` the last thread block of a result to arrive sums the parts in fixed order.

Example: 3x3 64-64 at 56 x 56, 128 images, half of 576 columns kept, tiles of 64: 288 columns are 5 blocks of
64 (the last padded with zeros), positions 56 * 56 * 128 / 128 = 3136 blocks, one launch tile.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

import torch
import triton
import triton.language as tl
from torch import Tensor

from kernels.engines import Epilogue
from kernels.gpu.checks import check_maps
from kernels.gpu.device_code import activated, factors, positions
from kernels.gpu.feature_map import CHWN, FeatureMap, Grid
from kernels.gpu.launch import LaunchConfig
from kernels.gpu.launch_tiles import LaunchTiles, launch_tiles
from kernels.layout import ConvGeometry
from kernels.pack import PackedWeight
from kernels.precision import Precision

# Triton's interpreter multiplies the raw bits of bfloat16, so there the factors are widened first.
INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
_LARGEST = 2**31


@triton.jit(
    do_not_specialize=[
        *("tiles", "columns", "limit", "inner", "innermost", "groups", "tiles_j"),
        *("x_base", "x_outer", "x_inner", "y_base", "y_channel", "y_outer", "y_inner"),
        *("r_base", "r_channel", "r_outer", "r_inner"),
        *("e_tap", "e_channel", "e_outer", "e_inner", "e_count", "e_width", "e_stride", "e_padding"),
    ]
)
def gathered_gemm(
    x_ptr,
    w_ptr,
    taps_ptr,
    blocks_ptr,
    filters_ptr,
    bias_ptr,
    residual_ptr,
    y_ptr,
    expand_ptr,
    parts_ptr,
    locks_ptr,
    tiles,
    columns,
    limit,
    inner,
    innermost,
    groups,
    tiles_j,
    x_base,
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
    e_tap,
    e_channel,
    e_outer,
    e_inner,
    e_count,
    e_width,
    e_stride,
    e_padding,
    WIDTH: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr,
    UNIT: tl.constexpr,
    RAGGED: tl.constexpr,
    SPLIT_K: tl.constexpr,
    SWAP: tl.constexpr,
    DOT: tl.constexpr,
    ACTIVATION: tl.constexpr,
    RESIDUAL: tl.constexpr,
    STORE: tl.constexpr,
    EXPAND: tl.constexpr,
    WIDEN: tl.constexpr,
):
    # ---- which filters and positions: `groups` position tiles go through all filters together
    per_tile: tl.constexpr = WIDTH // BLOCK_M
    program = tl.program_id(0)
    share = tl.program_id(1)
    tiles_m = tiles * per_tile
    group = program // (groups * tiles_m)
    first = group * groups
    size = tl.minimum(tiles_j - first, groups)
    within = program % (groups * tiles_m)
    tile_j = first + within % size
    tile_m = within // size
    tile = tile_m // per_tile
    j = tile_j * BLOCK_N + tl.arange(0, BLOCK_N)
    a, b, i, valid = positions(j, limit, inner, innermost, UNIT)
    # ---- the sum
    m = tile_m * BLOCK_M + tl.arange(0, BLOCK_M)
    k = tl.arange(0, BLOCK_K)
    # in blocks, then times BLOCK_K: a multiple of BLOCK_K that the compiler can see
    stored = columns // BLOCK_K
    blocks = stored
    if RAGGED:
        blocks = tl.load(blocks_ptr + tile)
    low = 0
    high = blocks * BLOCK_K
    if SPLIT_K > 1:
        each = tl.cdiv(blocks, SPLIT_K)
        low = tl.minimum(share * each, blocks) * BLOCK_K
        high = tl.minimum(share * each + each, blocks) * BLOCK_K
    w_at = w_ptr + m.to(tl.int64)[:, None] * (stored * BLOCK_K) + (low + k)[None, :]
    taps_at = taps_ptr + tile * columns + low + k
    x_at = x_ptr + ((x_base + a * x_outer + b * x_inner) * UNIT + i)[None, :]
    if SWAP:
        total = tl.zeros((BLOCK_N, BLOCK_M), dtype=tl.float32)
    else:
        total = tl.zeros((BLOCK_M, BLOCK_N), dtype=tl.float32)
    taps = tl.load(taps_at)
    for _ in range(low, high, BLOCK_K):
        taps_at += BLOCK_K
        weights = tl.load(w_at)
        values = factors(tl.load(x_at + (taps.to(tl.int64) * UNIT)[:, None]), DOT)
        taps = tl.load(taps_at)
        if WIDEN:
            weights = weights.to(tl.float32)
            values = values.to(tl.float32)
        if SWAP:
            total = tl.dot(tl.trans(values), tl.trans(weights), total, input_precision=DOT)
        else:
            total = tl.dot(weights, values, total, input_precision=DOT)
        w_at += BLOCK_K
    if SWAP:
        total = tl.trans(total)
    # ---- the last of SPLIT_K thread blocks sums them all
    if SPLIT_K > 1:
        result = tile_m * tiles_j + tile_j
        place = tl.arange(0, BLOCK_M)[:, None] * BLOCK_N + tl.arange(0, BLOCK_N)[None, :]
        part = parts_ptr + (result * SPLIT_K).to(tl.int64) * (BLOCK_M * BLOCK_N)
        tl.store(part + share * (BLOCK_M * BLOCK_N) + place, total)
        tl.debug_barrier()
        arrived = tl.atomic_add(locks_ptr + result, 1, sem="acq_rel")
        if arrived != SPLIT_K - 1:
            return
        tl.atomic_xchg(locks_ptr + result, 0)
        total = tl.zeros((BLOCK_M, BLOCK_N), dtype=tl.float32)
        for other in range(SPLIT_K):
            total += tl.load(part + other * (BLOCK_M * BLOCK_N) + place)
    # ---- bias, residual, activation, store
    filters = tl.load(filters_ptr + m)
    real = filters >= 0
    both = real[:, None] & valid[None, :]
    row = filters.to(tl.int64)
    total += tl.load(bias_ptr + m)[:, None]
    if RESIDUAL:
        r_at = (r_base + a * r_outer + b * r_inner) * UNIT + i
        r_row = row * r_channel * UNIT
        total += tl.load(residual_ptr + (r_row[:, None] + r_at[None, :]), mask=both, other=0.0).to(tl.float32)
    out = activated(total, ACTIVATION).to(x_ptr.dtype.element_ty)
    if STORE:
        y_at = (y_base + a * y_outer + b * y_inner) * UNIT + i
        y_row = row * y_channel * UNIT
        tl.store(y_ptr + (y_row[:, None] + y_at[None, :]), out, mask=both)
    if EXPAND > 0:  # column-shifted copies for the layer that reads them
        e_row = row * e_channel * UNIT
        for tap in tl.static_range(EXPAND):
            moved = i + e_padding - tap
            column = moved // e_stride
            inside = valid & (moved >= 0) & (moved % e_stride == 0) & (column < e_count) & (i < e_width)
            e_at = (tap * e_tap + a * e_outer + b * e_inner) * UNIT + column
            tl.store(expand_ptr + (e_row[:, None] + e_at[None, :]), out, mask=real[:, None] & inside[None, :])


@dataclass(frozen=True, eq=False)
class _Tables:
    """Launch tiles on the device, as the kernel reads them."""

    tiles: LaunchTiles
    values: Tensor
    blocks: Tensor
    filters: Tensor
    bias: Tensor


class GatheredGemm:
    """A pruned convolution for feature maps: any kernel, stride, padding and dilation, one group.

    Raises ValueError for grouped layers and activations that are not fused.
    """

    def __init__(
        self,
        packed: PackedWeight,
        epilogue: Epilogue,
        *,
        config: LaunchConfig,
        precision: Precision,
        device: torch.device | str,
        order: str = "given",
    ) -> None:
        if packed.geometry.groups != 1:
            raise ValueError(f"expected a layer of one group, got {packed.geometry.groups}")
        self.geometry, self.config, self.precision = packed.geometry, config, precision
        self.activation = epilogue.activation
        tiles = launch_tiles(
            packed, width=config.width, block_k=config.block_k, dtype=precision.dtype, order=order
        )
        self._tables = _Tables(
            tiles,
            tiles.values.to(device),
            tiles.blocks.to(device),
            tiles.filters.to(device),
            bias_of_rows(tiles, epilogue).to(device),
        )

    def bind(
        self,
        x: FeatureMap,
        y: FeatureMap | None,
        residual: FeatureMap | None = None,
        *,
        expand: FeatureMap | None = None,
    ) -> Callable[[], None]:
        """The launch for these maps: writes the interior of `y`, and of `expand` the copies it holds.

        At least one of the two must be given; `expand` is for the shifted layout. Nothing is allocated or
        waited for when the result is called. Raises ValueError where shapes, types or layouts do not fit.
        """
        output = check_maps(self.geometry, self.precision, x, y, residual, expand)
        outer, inner, innermost = x.positions(output)
        config, tiles = self.config, self._tables.tiles
        tiles_j = -(-outer * inner * innermost // config.block_n)
        tiles_m = tiles.count * (tiles.width // config.block_m)
        results = tiles_j * tiles_m
        device, split = x.device, config.split_k
        area = config.block_m * config.block_n
        parts = torch.empty(results * split * area if split > 1 else 1, dtype=torch.float32, device=device)
        locks = torch.zeros(results if split > 1 else 1, dtype=torch.int32, device=device)
        reading, nothing = x.reading_grid(self.geometry), Grid(0, 0, 0, 0)
        writing = nothing if y is None else y.writing_grid()
        adding = nothing if residual is None else residual.writing_grid()
        target, copies, expanding = _expansion(expand, x, output)
        stands_in = y.buffer if y is not None else x.buffer
        arguments = (
            *(x.buffer, self._tables.values, tap_table(tiles, x, self.geometry, config.block_k)),
            *(self._tables.blocks, self._tables.filters, self._tables.bias),
            stands_in if residual is None else residual.buffer,
            stands_in,
            stands_in if target is None else target,
            *(parts, locks),
            *(tiles.count, tiles.columns, outer * inner * innermost // x.unit, inner, innermost // x.unit),
            *(config.group, tiles_j),
            *(reading.base, reading.outer, reading.inner),
            *(writing.base, writing.channel, writing.outer, writing.inner),
            *(adding.base, adding.channel, adding.outer, adding.inner),
            *expanding,
        )
        options = {
            "WIDTH": config.width,
            "BLOCK_M": config.block_m,
            "BLOCK_N": config.block_n,
            "BLOCK_K": config.block_k,
            "UNIT": x.unit,
            "RAGGED": not tiles.uniform or int(tiles.blocks[0]) == 0,
            "SPLIT_K": split,
            "SWAP": config.swap,
            "DOT": self.precision.dot,
            "ACTIVATION": self.activation,
            "RESIDUAL": residual is not None,
            "STORE": y is not None,
            "EXPAND": copies,
            "WIDEN": INTERPRETED and x.dtype == torch.bfloat16,
            "num_warps": config.warps,
            "num_stages": config.stages,
        }
        grid = (results, split)

        def run() -> None:
            gathered_gemm[grid](*arguments, **options)

        return run


def bias_of_rows(tiles: LaunchTiles, epilogue: Epilogue) -> Tensor:
    """float32 bias of every packed row; 0 for rows that pad a tile."""
    rows = torch.zeros(len(tiles.filters))
    if epilogue.bias is not None:
        real = tiles.filters >= 0
        rows[real] = epilogue.bias.detach().float().cpu()[tiles.filters[real].long()]
    return rows


def tap_table(tiles: LaunchTiles, x: FeatureMap, geometry: ConvGeometry, block_k: int) -> Tensor:
    """int32 offsets of every tile's columns in `x`, in units, with a spare block at the end."""
    offsets = x.tap_offsets(tiles.taps, geometry).flatten()
    if int(offsets.max()) >= _LARGEST:
        raise ValueError(f"expected offsets below 2^31 units, got {int(offsets.max())}; use a smaller batch")
    return torch.cat([offsets, offsets.new_zeros(block_k)]).int().to(x.device)


def _expansion(
    expand: FeatureMap | None, x: FeatureMap, output: tuple[int, int]
) -> tuple[Tensor | None, int, tuple[int, ...]]:
    """Where the copies begin, how many there are, and the kernel's integers that say where each goes."""
    if expand is None:
        return None, 0, (0,) * 8
    if expand.shift is None:
        raise ValueError(f"expected shifted copies to expand into, got layout {CHWN}")
    shift, unit = expand.shift, expand.unit
    tap, channel, image, row, _ = (stride // unit for stride in expand.buffer.stride())
    integers = (tap, channel, image, row, shift.positions(output[1]), output[1], shift.stride, shift.padding)
    return expand.buffer.view(-1)[expand.halo[0] * row * unit :], shift.taps, integers
