"""Threads for generated code: the OpenMP team torch already keeps, else a small pool of our own.

Using torch's own team matters: its threads are awake from the layer before, and two pools on the same cores
would fight for them.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, lru_cache
from pathlib import Path

import torch

_OPENMP_NAMES = ("libgomp", "libomp", "libiomp")
_Work = ctypes.CFUNCTYPE(None, ctypes.c_void_p)

Runner = Callable[[int, int, int], None]


def run(function: int, argument: int, threads: int) -> None:
    """Call `function(argument)` (addresses) on up to `threads` threads at once and wait for all.

    The function must share its work out by itself and be right for any number of callers, one included.
    """
    if threads <= 1:
        _work(function)(argument)
    else:
        _runner()(function, argument, threads)


def runtime_name() -> str:
    """Which threads run the work: the file name of an OpenMP runtime, or "thread pool"."""
    library = _openmp_library()
    return library.name if library else "thread pool"


def thread_number() -> int:
    """Address of a function `int32 number()`: which of the team's threads is asking; 0 without a team."""
    library = _openmp_library()
    if library is None:
        return 0
    function = ctypes.CDLL(str(library)).omp_get_thread_num
    return ctypes.cast(function, ctypes.c_void_p).value or 0


@cache
def _work(function: int) -> Callable[[int], None]:
    return _Work(function)


@lru_cache(maxsize=1)
def _runner() -> Runner:
    library = _openmp_library()
    return run_in_pool if library is None else _openmp_runner(library)


def _openmp_runner(library: Path) -> Runner:
    parallel = ctypes.CDLL(str(library)).GOMP_parallel
    parallel.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint]
    parallel.restype = None
    return lambda function, argument, threads: parallel(function, argument, threads, 0)


@lru_cache(maxsize=1)
def _openmp_library() -> Path | None:
    """The OpenMP runtime that this process has loaded for torch, if it has GNU's entry point."""
    for path in _loaded_libraries():
        if path.name.startswith(_OPENMP_NAMES) and hasattr(ctypes.CDLL(str(path)), "GOMP_parallel"):
            return path
    return None


def _loaded_libraries() -> list[Path]:
    """Candidates, torch's own first: what is mapped (Linux), else what lies beside torch (macOS)."""
    maps, beside = Path("/proc/self/maps"), Path(torch.__file__).parent / "lib"
    if maps.exists():
        lines = maps.read_text().splitlines()
        found = sorted({Path(line.split(maxsplit=5)[5]) for line in lines if line.count("/") > 1})
    else:
        found = sorted(beside.glob("lib*omp*.dylib"))
    present = (path for path in found if path.exists())  # a mapped file may have been replaced since
    return sorted(present, key=lambda path: "torch" not in path.parts)


@lru_cache(maxsize=1)
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="kernels-cpu")


def run_in_pool(function: int, argument: int, threads: int) -> None:
    """`run` on Python threads: foreign calls release the interpreter lock, so they do run side by side."""
    work = _work(function)
    others = [_pool().submit(work, argument) for _ in range(threads - 1)]
    work(argument)
    for other in others:
        other.result()
