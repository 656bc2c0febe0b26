"""A GPU as launches see it: its limits, read from the driver, and rates to rank launches by."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch

Capability = tuple[int, int]


@dataclass(frozen=True)
class Rates:
    """Per second: float16 operations, float32 operations without tensor cores, bytes from memory and L2.

    Only their ratios matter, which decide what limits a launch; every choice is measured in the end.
    """

    half: float
    single: float
    memory: float
    cache: float


# Hopper's float16 and memory rates were measured on an H200 (random data); all others are assumed from
# datasheets, taken at 85 % for products and 90 % for memory.
_RATES: dict[Capability, Rates] = {
    (8, 0): Rates(265e12, 17e12, 1.8e12, 4.0e12),
    (8, 6): Rates(60e12, 30e12, 0.8e12, 2.0e12),
    (8, 9): Rates(280e12, 70e12, 0.8e12, 3.5e12),
    (9, 0): Rates(790e12, 57e12, 4.3e12, 6.0e12),
    (10, 0): Rates(1900e12, 65e12, 7.0e12, 10.0e12),
    (12, 0): Rates(350e12, 90e12, 1.6e12, 6.0e12),
}


@dataclass(frozen=True)
class Card:
    """Limits in bytes, 32-bit registers and threads; `shared_bytes` is what one thread block may have."""

    name: str
    capability: Capability
    processors: int
    shared_bytes: int
    shared_per_processor: int
    registers_per_processor: int
    threads_per_processor: int
    cache_bytes: int

    @property
    def rates(self) -> Rates:
        """Those of the newest listed capability that is not newer."""
        known = [capability for capability in _RATES if capability <= self.capability]
        return _RATES[max(known, default=min(_RATES))]

    @property
    def warpgroups(self) -> bool:
        """Whether four warps multiply together, on 64 rows at least (wgmma, tcgen05)."""
        return self.capability[0] in (9, 10)

    @property
    def slug(self) -> str:
        """A file name for the kind of card.

        >>> Card("NVIDIA H200", (9, 0), 132, 232448, 233472, 65536, 2048, 50 << 20).slug
        'nvidia-h200-sm90'
        """
        name = re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-")
        return f"{name}-sm{self.capability[0]}{self.capability[1]}"


@cache
def this_card(index: int = 0) -> Card:
    """The GPU of that number. RuntimeError where torch sees none."""
    found: Any = torch.cuda.get_device_properties(index)
    return Card(
        found.name,
        (found.major, found.minor),
        found.multi_processor_count,
        found.shared_memory_per_block_optin,
        found.shared_memory_per_multiprocessor,
        found.regs_per_multiprocessor,
        found.max_threads_per_multi_processor,
        found.L2_cache_size,
    )
