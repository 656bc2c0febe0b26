"""Memory between calls: whether the system hands out fresh pages for every output."""

from __future__ import annotations

import ctypes
import sys

# mallopt's parameters, from glibc's <malloc.h>.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_LARGEST = 2**31 - 1


def keep_freed_memory() -> bool:
    """Tell glibc to keep what is freed instead of returning it to the system; False where there is no glibc.

    Outputs beyond its threshold (at most 32 MB) come as fresh pages on every call otherwise, and outputs
    below it by chance: the system then clears them page by page, which took longer than the layer itself (64
    -> 256, 1x1, 8 images of 56 x 56 on a 2-core AVX-512 machine: 7.3 instead of 2.8 ms). It falls on every
    way to run a layer alike, and on none in a network that reuses its memory, so a benchmark of layers asks
    for it first.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(_MMAP_THRESHOLD, 2**30)) and bool(mallopt(_TRIM_THRESHOLD, _LARGEST))
