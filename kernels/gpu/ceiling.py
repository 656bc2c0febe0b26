"""What this GPU could do at best: copying, reading its second cache, and dense products, all measured.

Random data throughout: a product of zeros draws less power and can run faster than real ones.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import triton
import triton.language as tl

from kernels.gpu.card import this_card
from kernels.gpu.clock import GpuTimer
from kernels.measure import Timer
from kernels.precision import Precision, torch_products
from kernels.roofline import Ceiling

_COPY_BYTES = 2 << 30  # many times the largest second cache
_PRODUCT_SIZE = 8192  # thousands of tiles: the last, partly filled wave does not matter
# A third of the cache: it holds both halves of a split cache, and the buffer stays.
_CACHE_SHARE = 1 / 3
_PASSES = 64  # over the buffer in one launch, so that its first pass, from memory, hardly counts
BLOCK, WARPS = 4096, 8
_SAMPLES, _SAMPLE_CALLS = 7, 4


@triton.jit(do_not_specialize=["blocks", "passes"])
def read_repeatedly(x_ptr, y_ptr, blocks, passes, BLOCK: tl.constexpr):
    """Every program reads every block in each pass, from another place on, and keeps the largest values.

    Past the first cache: on it, a block that two programs of a processor read at once would count twice.
    """
    program = tl.program_id(0)
    lane = tl.arange(0, BLOCK)
    largest = tl.full((BLOCK,), float("-inf"), dtype=tl.float32)
    for step in range(passes * tl.cdiv(blocks, tl.num_programs(0))):
        block = (program + step * tl.num_programs(0)) % blocks
        largest = tl.maximum(largest, tl.load(x_ptr + block * BLOCK + lane, cache_modifier=".cg"))
    tl.store(y_ptr + program * BLOCK + lane, largest)


def measure_ceiling(precision: Precision, *, timer: Timer | None = None) -> Ceiling:
    """The card's rates in `precision`, the best of some samples each. Needs a GPU, and 4 GiB of it."""
    timer = timer or GpuTimer()
    card = this_card(torch.cuda.current_device())
    return Ceiling(
        flops=product_rate(precision, timer, size=_PRODUCT_SIZE),
        bytes=copy_rate(timer, size=_COPY_BYTES),
        precision=precision.name,
        cache_bytes=cache_rate(
            timer, size=int(card.cache_bytes * _CACHE_SHARE), programs=2 * card.processors, passes=_PASSES
        ),
    )


def product_rate(precision: Precision, timer: Timer, *, size: int, device: str = "cuda") -> float:
    """Operations per second of the library's product of two square matrices."""
    a, b = (torch.randn(size, size, device=device).to(precision.dtype) for _ in range(2))
    out = torch.empty_like(a)

    def run() -> None:
        with torch_products(precision):
            torch.mm(a, b, out=out)

    return 2.0 * size**3 / _best(run, timer)


def copy_rate(timer: Timer, *, size: int, device: str = "cuda") -> float:
    """Bytes per second, read plus written."""
    source = torch.randn(size // 4, device=device)
    target = torch.empty_like(source)
    return 2.0 * source.nbytes / _best(lambda: target.copy_(source), timer)


def cache_rate(timer: Timer, *, size: int, programs: int, passes: int, device: str = "cuda") -> float:
    """Bytes per second that all processors together read of a buffer of `size` bytes, again and again."""
    blocks = size // (4 * BLOCK)
    source = torch.randn(blocks * BLOCK, device=device)
    largest = torch.empty(programs * BLOCK, device=device)

    def run() -> None:
        read_repeatedly[(programs,)](source, largest, blocks, passes, BLOCK=BLOCK, num_warps=WARPS)

    read = 4.0 * BLOCK * programs * passes * -(-blocks // programs)
    return read / _best(run, timer)


def _best(run: Callable[[], object], timer: Timer) -> float:
    """Seconds of the fastest sample, the first of which may compile."""
    run()
    return min(timer(run, _SAMPLE_CALLS) for _ in range(_SAMPLES))
