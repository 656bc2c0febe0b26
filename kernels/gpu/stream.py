"""The streaming product for short sums: 1x1 layers of few columns, limited by memory traffic.

    y[m, j] = activation(sum_k w[m, k] * x[tap(tile(m), k) + position(j)] + bias[m] + residual[m, j])

The same equation as the gathered product, the other way round: a thread block keeps the weights and taps of
one launch tile for good, and position tiles stream through it, `stages` ahead. The weight is read once per
thread block instead of once per position tile, and the pipeline never drains between tiles.

Example: 1x1 64-256 at 56 x 56, half of 64 columns kept, tiles of 64: 32 columns are one block; 4 launch
tiles, and as many thread blocks per tile as the card runs at once, each over its share of the positions.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import triton
import triton.language as tl

from kernels.engines import Epilogue
from kernels.gpu.card import this_card
from kernels.gpu.checks import check_maps
from kernels.gpu.device_code import activated, factors, positions
from kernels.gpu.feature_map import FeatureMap, Grid
from kernels.gpu.gemm import INTERPRETED, bias_of_rows, tap_table
from kernels.gpu.launch import LaunchConfig, streaming_walkers
from kernels.gpu.launch_tiles import launch_tiles
from kernels.pack import PackedWeight
from kernels.precision import Precision

# Weights of so many columns still stay on the chip beside the position tiles in flight.
MOST_COLUMNS = 192
_PROCESSORS_WITHOUT_A_GPU = 4


@triton.jit(
    do_not_specialize=[
        *("limit", "inner", "innermost", "tiles", "tiles_j", "walkers"),
        *("x_base", "x_outer", "x_inner", "y_base", "y_channel", "y_outer", "y_inner"),
        *("r_base", "r_channel", "r_outer", "r_inner"),
    ]
)
def streaming_gemm(
    x_ptr,
    w_ptr,
    taps_ptr,
    filters_ptr,
    bias_ptr,
    residual_ptr,
    y_ptr,
    limit,
    inner,
    innermost,
    tiles,
    tiles_j,
    walkers,
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
    WIDTH: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr,
    BLOCKS: tl.constexpr,
    STAGES: tl.constexpr,
    UNIT: tl.constexpr,
    DOT: tl.constexpr,
    ACTIVATION: tl.constexpr,
    RESIDUAL: tl.constexpr,
    WIDEN: tl.constexpr,
):
    program = tl.program_id(0)
    tile = program % tiles
    columns: tl.constexpr = BLOCKS * BLOCK_K
    m = tile * WIDTH + tl.arange(0, WIDTH)
    k = tl.arange(0, BLOCK_K)
    weights = ()  # Triton knows sums of tuples, not the starred form
    taps = ()
    for block in tl.static_range(BLOCKS):
        held = tl.load(w_ptr + m[:, None] * columns + (block * BLOCK_K + k)[None, :])
        if WIDEN:
            held = held.to(tl.float32)
        weights = weights + (held,)  # type: ignore[assignment]  # noqa: RUF005
        offsets = tl.load(taps_ptr + tile * columns + block * BLOCK_K + k).to(tl.int64) * UNIT
        taps = taps + (offsets,)  # type: ignore[assignment]  # noqa: RUF005
    filters = tl.load(filters_ptr + m)
    real = filters >= 0
    row = filters.to(tl.int64)
    bias = tl.load(bias_ptr + m)
    for tile_j in tl.range(program // tiles, tiles_j, walkers, num_stages=STAGES):
        j = tile_j * BLOCK_N + tl.arange(0, BLOCK_N)
        a, b, i, valid = positions(j, limit, inner, innermost, UNIT)
        x_at = x_ptr + ((x_base + a * x_outer + b * x_inner) * UNIT + i)[None, :]
        total = tl.zeros((WIDTH, BLOCK_N), dtype=tl.float32)
        for block in tl.static_range(BLOCKS):
            values = factors(tl.load(x_at + taps[block][:, None]), DOT)
            if WIDEN:
                values = values.to(tl.float32)
            total = tl.dot(weights[block], values, total, input_precision=DOT)
        total += bias[:, None]
        both = real[:, None] & valid[None, :]
        if RESIDUAL:
            r_at = (r_base + a * r_outer + b * r_inner) * UNIT + i
            r_row = row * r_channel * UNIT
            added = tl.load(residual_ptr + (r_row[:, None] + r_at[None, :]), mask=both, other=0.0)
            total += added.to(tl.float32)
        out = activated(total, ACTIVATION).to(x_ptr.dtype.element_ty)
        y_at = (y_base + a * y_outer + b * y_inner) * UNIT + i
        y_row = row * y_channel * UNIT
        tl.store(y_ptr + (y_row[:, None] + y_at[None, :]), out, mask=both)


class StreamingGemm:
    """A pruned convolution of short sums for feature maps. Takes what `declines` has no reason against."""

    def __init__(
        self,
        packed: PackedWeight,
        epilogue: Epilogue,
        *,
        config: LaunchConfig,
        precision: Precision,
        device: torch.device | str,
    ) -> None:
        reason = declines(packed)
        if reason is not None:
            raise ValueError(reason)
        self.geometry, self.config, self.precision = packed.geometry, config, precision
        self.activation = epilogue.activation
        self._tiles = launch_tiles(packed, width=config.width, block_k=config.block_k, dtype=precision.dtype)
        self._values = self._tiles.values.to(device)
        self._filters = self._tiles.filters.to(device)
        self._bias = bias_of_rows(self._tiles, epilogue).to(device)

    def bind(self, x: FeatureMap, y: FeatureMap, residual: FeatureMap | None = None) -> Callable[[], None]:
        """The launch for these maps: writes the interior of `y`. Raises ValueError where they do not fit."""
        output = check_maps(self.geometry, self.precision, x, y, residual)
        outer, inner, innermost = x.positions(output)
        config, tiles = self.config, self._tiles
        tiles_j = -(-outer * inner * innermost // config.block_n)
        walkers = streaming_walkers(tiles.count, tiles_j, processors=_processors(x.device))
        reading, writing = x.reading_grid(self.geometry), y.writing_grid()
        adding = Grid(0, 0, 0, 0) if residual is None else residual.writing_grid()
        arguments = (
            *(x.buffer, self._values, tap_table(tiles, x, self.geometry, config.block_k)),
            *(self._filters, self._bias),
            y.buffer if residual is None else residual.buffer,
            y.buffer,
            *(outer * inner * innermost // x.unit, inner, innermost // x.unit),
            *(tiles.count, tiles_j, walkers),
            *(reading.base, reading.outer, reading.inner),
            *(writing.base, writing.channel, writing.outer, writing.inner),
            *(adding.base, adding.channel, adding.outer, adding.inner),
        )
        options = {
            "WIDTH": config.width,
            "BLOCK_N": config.block_n,
            "BLOCK_K": config.block_k,
            "BLOCKS": tiles.columns // config.block_k,
            "STAGES": config.stages,
            "UNIT": x.unit,
            "DOT": self.precision.dot,
            "ACTIVATION": self.activation,
            "RESIDUAL": residual is not None,
            "WIDEN": INTERPRETED and x.dtype == torch.bfloat16,
            "num_warps": config.warps,
        }
        grid = (walkers * tiles.count,)

        def run() -> None:
            streaming_gemm[grid](*arguments, **options)

        return run


def declines(packed: PackedWeight) -> str | None:
    """Why a layer cannot stream; None if it can."""
    longest = max(len(tile.columns) for tile in packed.tiles)
    if packed.geometry.groups != 1:
        return f"expected a layer of one group, got {packed.geometry.groups}"
    if longest > MOST_COLUMNS:
        return f"its sums of {longest} columns do not stay on the chip (at most {MOST_COLUMNS})"
    if len(torch.cat([tile.rows for tile in packed.tiles])) < packed.geometry.rows:
        return "some filters keep nothing, and streaming has no tile without columns"
    if not all(len(tile.columns) for tile in packed.tiles):
        return "some tiles keep nothing, and streaming has no tile without columns"
    return None


def _processors(device: torch.device) -> int:
    if device.type != "cuda":
        return _PROCESSORS_WITHOUT_A_GPU
    return this_card(torch.cuda.current_device() if device.index is None else device.index).processors
