"""What a launch may not do, each constraint once: a reason in words, or None.

The first group holds for the gathered product, the second for the streaming product; what both need is in
both. A launch that breaks one of them would not start, would spill, or is never the fastest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from kernels.gpu.card import Card
from kernels.gpu.launch import LaunchConfig
from kernels.gpu.work import Work
from kernels.precision import FP32

Limit = Callable[[LaunchConfig, Work, Card], str | None]

WARP = 32
# Of a thread's 255 registers the sums may take half; addresses, offsets and operands need the rest.
MOST_SUMS_PER_THREAD = 128
# Four warps that multiply together take 64 rows of the product at least.
WARPGROUP_ROWS = 64
# From here on launch tiles fill the tensor cores' long side by themselves.
WIDE_TILE = 64
# Shares shorter than this spend more time on starting and summing than on multiplying.
LEAST_BLOCKS_PER_SHARE = 4


def shared_memory(config: LaunchConfig, work: Work, card: Card) -> str | None:
    needed = config.shared_bytes(work.itemsize)
    if needed > card.shared_bytes:
        return f"its blocks in flight take {needed} bytes of shared memory, the card has {card.shared_bytes}"
    return None


def sums_in_registers(config: LaunchConfig, work: Work, card: Card) -> str | None:
    sums = sums_per_thread(config)
    if sums > MOST_SUMS_PER_THREAD:
        return f"each thread would hold {sums} sums, at most {MOST_SUMS_PER_THREAD} stay in registers"
    return None


def sums_per_thread(config: LaunchConfig) -> int:
    return config.block_m * config.block_n // (WARP * config.warps)


def long_side(config: LaunchConfig, work: Work, card: Card) -> str | None:
    """Fewer rows than four warps take together fall back to slower instructions of single warps."""
    if not card.warpgroups or work.precision == FP32:
        return None
    rows = config.block_n if config.swap else config.block_m
    if rows < WARPGROUP_ROWS:
        return f"{rows} rows do not fill the {WARPGROUP_ROWS} that four warps multiply together"
    return None


def swap_where_narrow(config: LaunchConfig, work: Work, card: Card) -> str | None:
    """Swapping lends the positions to the long side; wide tiles fill it themselves, with cheaper stores."""
    if config.swap and config.block_m > WIDE_TILE and config.block_m <= config.block_n:
        return f"{config.block_m} filters fill the tensor cores without swapping"
    return None


def swap_of_halves(config: LaunchConfig, work: Work, card: Card) -> str | None:
    """Swapping transposes both operands on their way in; of 4-byte values that is one copy each."""
    if config.swap and work.itemsize == 4:
        return "swapped operands of 4 bytes would be copied value by value"
    return None


def split_where_few(config: LaunchConfig, work: Work, card: Card) -> str | None:
    """Shares of a sum pay where whole sums leave processors idle, and while each is long enough."""
    if config.split_k == 1:
        return None
    results = thread_blocks(config, work)
    if results >= card.processors:
        return f"{results} thread blocks fill {card.processors} processors without splitting"
    blocks = -(-work.longest(config.width) // config.block_k)
    if blocks < config.split_k * LEAST_BLOCKS_PER_SHARE:
        return f"{blocks} blocks of columns are too few for {config.split_k} shares"
    return None


def thread_blocks(config: LaunchConfig, work: Work) -> int:
    """Results of a launch, before any split."""
    tiles = len(work.columns[config.width]) * (config.width // config.block_m)
    return tiles * -(-work.positions // config.block_n)


def width_within_rows(config: LaunchConfig, work: Work, card: Card) -> str | None:
    return _within("width", config.width, work.rows, least=32)


def block_n_within_positions(config: LaunchConfig, work: Work, card: Card) -> str | None:
    return _within("block_n", config.block_n, work.positions, least=64)


def block_k_within_columns(config: LaunchConfig, work: Work, card: Card) -> str | None:
    return _within("block_k", config.block_k, work.longest(config.width), least=32)


def _within(name: str, size: int, extent: int, *, least: int) -> str | None:
    """Beyond `extent`, rounded up to a power of two, a block only pads."""
    most = max(least, 1 << max(extent - 1, 0).bit_length())
    return f"{name} {size} is more than {extent} rounded up" if size > most else None


def held_on_chip(config: LaunchConfig, work: Work, card: Card) -> str | None:
    """Streaming keeps all weights of a tile beside the position tiles in flight."""
    columns = _held_columns(config, work)
    needed = columns * (config.width + config.stages * config.block_n) * work.itemsize
    if needed > card.shared_bytes:
        return f"weights and tiles in flight take {needed} bytes of shared memory of {card.shared_bytes}"
    return None


def whole_tiles(config: LaunchConfig, work: Work, card: Card) -> str | None:
    """Streaming knows neither parts of a launch tile nor shares of a sum nor swapped operands."""
    if config.block_m != config.width or config.split_k > 1 or config.swap:
        return "streaming takes whole launch tiles, unsplit and unswapped"
    return None


def _held_columns(config: LaunchConfig, work: Work) -> int:
    return -(-work.longest(config.width) // config.block_k) * config.block_k


_BOTH: tuple[Limit, ...] = (
    sums_in_registers,
    width_within_rows,
    block_n_within_positions,
    block_k_within_columns,
)
GATHERED_LIMITS: tuple[Limit, ...] = (
    *_BOTH,
    shared_memory,
    long_side,
    swap_where_narrow,
    swap_of_halves,
    split_where_few,
)
STREAMING_LIMITS: tuple[Limit, ...] = (*_BOTH, whole_tiles, held_on_chip)


def reason_against(limits: Sequence[Limit], config: LaunchConfig, work: Work, card: Card) -> str | None:
    """The first reason that `limits` have against a launch; None if there is none."""
    return next((reason for limit in limits if (reason := limit(config, work, card))), None)
