"""How long a launch should take: a roofline with whole waves, used to leave out what cannot win.

    seconds = the longest of arithmetic, cache traffic and memory traffic + a share of the others
              + split-K + launch

Arithmetic counts what is executed: padding of blocks and the columns that joining tiles to the launch width
adds. Thread blocks fill the processors in turns, and the last turn costs as much as a full one. Every thread
block reads its weights and inputs from the second cache, so narrow launch tiles read the inputs more often.
The model only ranks; what remains is timed. Its constants are assumptions until a card's timings correct
them, named so that they can be.
"""

from __future__ import annotations

from kernels.gpu.card import Card
from kernels.gpu.launch import STREAMING_RESIDENT, LaunchConfig, streaming_walkers
from kernels.gpu.limits import WARP, sums_per_thread, thread_blocks
from kernels.gpu.work import Work
from kernels.precision import FP32, TF32

# A thread block of this many results reaches half of the peak: smaller ones wait for operands more often.
HALF_PEAK_AREA = 8192
# Filling the pipeline and writing the results, during which a thread block multiplies nothing.
BLOCK_SECONDS = 1.5e-6
# From asking the second cache to the data's arrival; what is in flight must cover it.
CACHE_LATENCY = 0.8e-6
# Of what runs beside the longest, so much is not hidden by it.
UNHIDDEN = 0.1
# One launch of a captured graph, and the wait of the last thread block for the parts of the others.
LAUNCH_SECONDS, LOCK_SECONDS = 2.5e-6, 1.5e-6
# Registers of a thread beside its sums.
OTHER_REGISTERS = 72
# Share of the float16 rate that float32 operands reach on the tensor cores.
TF32_SHARE = 0.5


def gathered_seconds(config: LaunchConfig, work: Work, card: Card) -> float:
    """The gathered product's time under `config`, which must be within its limits."""
    blocks = [-(-count // config.block_k) for count in work.columns[config.width]]
    programs = thread_blocks(config, work) * config.split_k
    per_tile = programs // len(blocks)
    resident = resident_blocks(config, work, card)
    each = 2.0 * config.block_m * config.block_n * config.block_k / product_rate(config, work, card)
    shares = [-(-count // config.split_k) for count in blocks]
    turns = -(-programs // card.processors)
    # with few turns the longest tile decides, with many the mean
    arithmetic = max(turns * sum(shares) / len(shares), max(shares)) * each
    arithmetic += turns * BLOCK_SECONDS / resident
    loaded = config.block_k * (config.block_m + config.block_n) * work.itemsize
    traffic = sum(shares) * per_tile * loaded
    in_flight = resident * (config.stages - 1) * loaded * min(programs, card.processors)
    cache = traffic / min(card.rates.cache, in_flight / CACHE_LATENCY)
    together = _overlapped(arithmetic, cache, memory_seconds(work, card))
    return together + _split_seconds(config, work, card) + LAUNCH_SECONDS


def streaming_seconds(config: LaunchConfig, work: Work, card: Card) -> float:
    """The streaming product's time: weights stay on the chip, so only positions cross the cache."""
    tiles = work.columns[config.width]
    steps = [-(-count // config.block_k) for count in tiles]
    tiles_j = -(-work.positions // config.block_n)
    each = 2.0 * config.width * config.block_n * config.block_k / product_rate(config, work, card)
    walkers = streaming_walkers(len(tiles), tiles_j, processors=card.processors)
    turns = -(-tiles_j // walkers) * -(-len(tiles) * walkers // card.processors)
    arithmetic = turns * max(steps) * each + BLOCK_SECONDS
    traffic = sum(steps) * config.block_k * config.block_n * tiles_j * work.itemsize
    in_flight = config.stages * max(steps) * config.block_k * config.block_n * work.itemsize
    reached = in_flight * min(len(tiles) * walkers, STREAMING_RESIDENT * card.processors) / CACHE_LATENCY
    cache = traffic / min(card.rates.cache, reached)
    return _overlapped(arithmetic, cache, memory_seconds(work, card)) + LAUNCH_SECONDS


def _overlapped(*seconds: float) -> float:
    longest = max(seconds)
    return longest + UNHIDDEN * (sum(seconds) - longest)


def memory_seconds(work: Work, card: Card) -> float:
    """Every map once, and the weights of the narrowest launch once."""
    width = min(work.columns)
    weights = width * sum(work.columns[width]) * work.itemsize
    return (work.moved + weights) / card.rates.memory


def product_rate(config: LaunchConfig, work: Work, card: Card) -> float:
    """Operations per second of one processor at this block size."""
    rates, area = card.rates, config.block_m * config.block_n
    peak = rates.half
    if work.precision == FP32:
        peak = rates.single
    elif work.precision == TF32:
        peak *= TF32_SHARE
    return peak / card.processors * area / (area + HALF_PEAK_AREA)


def resident_blocks(config: LaunchConfig, work: Work, card: Card) -> int:
    """Thread blocks that fit on one processor at once, and so hide each other's waiting."""
    threads = config.warps * WARP
    by_registers = card.registers_per_processor // (threads * (sums_per_thread(config) + OTHER_REGISTERS))
    by_memory = card.shared_per_processor // config.shared_bytes(work.itemsize)
    return max(1, min(by_registers, by_memory, card.threads_per_processor // threads))


def waves(config: LaunchConfig, work: Work, card: Card) -> float:
    """How often the thread blocks of a gathered launch fill the card, as far as the model knows their size.

    At one or less all run at once, and the longest tile decides; with many, others fill the gaps.
    """
    at_once = card.processors * resident_blocks(config, work, card)
    return thread_blocks(config, work) * config.split_k / at_once


def _split_seconds(config: LaunchConfig, work: Work, card: Card) -> float:
    """Parts are written, read and added once more, in float32."""
    if config.split_k == 1:
        return 0.0
    parts = thread_blocks(config, work) * config.split_k * config.block_m * config.block_n
    return 2 * 4.0 * parts / card.rates.cache + LOCK_SECONDS
