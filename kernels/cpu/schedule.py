"""How a layer's panels and pixel blocks are shared out as tasks."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from kernels.cpu.blocks import FLOAT, BlockPlan
from kernels.cpu.driver import MOST_WORKERS
from kernels.cpu.panels import Panel
from kernels.layout import ConvGeometry

# What a task may touch: it should stay in a core's second cache (1 to 2 MiB on current server and desktop
# cores) and leave room for what passes through.
_CACHE = 768 * 1024
# Enough tasks that the last one to finish leaves the other threads idle for a small part of the time only.
_TASKS_PER_THREAD = 4
# An input beyond this comes from the third cache or memory, and the processor's own look-ahead ends at each
# page. One page ahead took 3x3 64-64 @56 from 6.6 to 6.1 ms and 3x3/2 64-128 @56 from 4.0 to 3.2 ms (8
# images, ratio 0.5, one AVX-512 core); four pages were no better.
_LARGE_INPUT, _PAGE = 2**20, 4096


@dataclass(frozen=True)
class Schedule:
    """`panels` x `blocks` (all images') in tasks of panel_chunk x block_chunk, on `threads` threads."""

    panels: int
    blocks: int
    panel_chunk: int
    block_chunk: int
    threads: int

    @property
    def block_chunks(self) -> int:
        return -(-self.blocks // self.block_chunk)

    @property
    def tasks(self) -> int:
        return -(-self.panels // self.panel_chunk) * self.block_chunks


def choose_schedule(
    panels: list[Panel], plan: BlockPlan, *, geometry: ConvGeometry, shape: torch.Size, threads: int
) -> Schedule:
    """Weights that fit the cache: all panels per task, so input and output pass once. Else one each.

    `shape` is the input's [N, C, H, W].
    """
    blocks = plan.images * len(plan.blocks)
    weights = FLOAT * sum(panel.weight.numel() for panel in panels)
    together = len(panels) if weights <= _CACHE else 1
    fitting = max(1, int(_CACHE * blocks / plane_bytes(geometry, shape)))
    wanted = _TASKS_PER_THREAD * threads if threads > 1 else 1
    sharing = max(1, blocks * len(panels) // (together * wanted))
    chunk = min(fitting, sharing, blocks)
    schedule = Schedule(len(panels), blocks, together, chunk, threads)
    return Schedule(len(panels), blocks, together, chunk, min(threads, schedule.tasks, MOST_WORKERS))


def fetch_distance(geometry: ConvGeometry, shape: torch.Size) -> int:
    """Bytes from under tap (0, 0) to the input worth asking for early; 0 where asking does not pay.

    That is the last row a block reads, and a page further. A stride beyond the kernel skips rows: nothing is
    asked.
    """
    images, channels, height, width = shape
    row = FLOAT * channels * width
    if images * height * row <= _LARGE_INPUT or geometry.kernel[0] < geometry.stride[0]:
        return 0
    return max(0, (geometry.kernel[0] - 1) * geometry.dilation[0] - geometry.padding[0]) * row + _PAGE


def plane_bytes(geometry: ConvGeometry, shape: torch.Size) -> int:
    """Bytes of the layer's input and output together."""
    images, channels, height, width = shape
    output = geometry.output_size(height, width)
    return FLOAT * images * (height * width * channels + output[0] * output[1] * geometry.out_channels)
