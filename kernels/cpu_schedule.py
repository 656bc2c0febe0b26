"""How a layer's panels and pixel blocks are shared out as tasks."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from kernels.cpu_blocks import FLOAT, BlockPlan
from kernels.cpu_panels import Panel
from kernels.layout import ConvGeometry

# Half of a second-level cache of 1-2 MiB: what may be in use at once beside the other half's passing data.
_CACHE = 768 * 1024
# Enough tasks that the last one to finish leaves the other threads idle for a small part of the time only.
_TASKS_PER_THREAD = 4


@dataclass(frozen=True)
class Schedule:
    """`panels` x `blocks` (over `images`) in tasks of panel_chunk x block_chunk."""

    panels: int
    blocks: int
    images: int
    panel_chunk: int
    block_chunk: int
    panels_first: bool
    threads: int

    @property
    def panel_chunks(self) -> int:
        return -(-self.panels // self.panel_chunk)

    @property
    def block_chunks(self) -> int:
        return -(-self.blocks // self.block_chunk)


def choose_schedule(
    panels: list[Panel], plan: BlockPlan, *, geometry: ConvGeometry, shape: torch.Size, threads: int
) -> Schedule:
    """Small weights: all panels per task, so input is read and output written once. Large weights: one panel per task."""
    blocks = plan.images * len(plan.blocks)
    weights = FLOAT * sum(panel.weight.numel() for panel in panels)
    images, channels, height, width = shape
    output = geometry.output_size(height, width)
    plane = FLOAT * images * (height * width * channels + output[0] * output[1] * geometry.out_channels)
    want = _TASKS_PER_THREAD * threads if threads > 1 else 1
    if weights <= _CACHE:
        fits = max(1, int(_CACHE / (plane / blocks)))
        chunk = min(fits, max(1, blocks // want))
        return Schedule(len(panels), blocks, plan.images, len(panels), chunk, True, threads)
    fits = max(1, int(_CACHE / (plane / blocks)))
    chunk = min(fits, max(1, -(-blocks * len(panels) // want)))
    return Schedule(len(panels), blocks, plan.images, 1, chunk, False, threads)
