"""Memory between calls: whether the system hands out fresh pages for every output."""

from __future__ import annotations

import ctypes
import sys

# mallopt's parameters, from glibc's <malloc.h>.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_LARGEST = 2**31 - 1


def keep_freed_memory() -> bool:
    """Tell glibc to keep what is freed instead of returning it to the system; False where there is no glibc.

    Outputs beyond its threshold (at most 32 MB) otherwise come as fresh pages on every call, and smaller ones
    by chance: the system then clears them page by page, which can take longer than the layer itself (oneDNN,
    1x1 64-256, 8 images of 56 x 56, one AVX-512 core: 16 instead of 6 ms). A network that reuses its memory
    pays for it once, so a benchmark of layers asks for it first.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(_MMAP_THRESHOLD, 2**30)) and bool(mallopt(_TRIM_THRESHOLD, _LARGEST))
