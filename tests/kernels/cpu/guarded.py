"""Run the CPU engine on inputs that end, or begin, at a page no one may touch. `outside` is the negative
control.
"""

from __future__ import annotations

import ctypes
import mmap
import sys

import torch
from torch import Tensor

from kernels.cpu import engine as cpu
from kernels.cpu.target import OVERRIDES
from kernels.testing import assert_close
from tests.kernels.cases import CASES, make

PAGE = mmap.PAGESIZE
# One of each way to address the input, the residual and the ends of a plane.
CHOSEN = (
    "3x3 stride 2",
    "3x3 small plane",
    "3x3 large input",
    "1x1",
    "linear",
    "dilated",
    "ragged last tile",
    "rows removed",
    "permuted, ragged",
)


def place_at_edge(x: Tensor, at_end: bool) -> Tensor:
    """A copy of channels_last `x` whose memory touches a forbidden page behind (or before) it."""
    size = x.numel() * 4
    inner = -(-size // PAGE) * PAGE
    memory = mmap.mmap(-1, inner + 2 * PAGE)
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    for forbidden in (start, start + PAGE + inner):
        if ctypes.CDLL(None).mprotect(ctypes.c_void_p(forbidden), ctypes.c_size_t(PAGE), 0) != 0:
            raise OSError("mprotect failed")
    offset = PAGE + (inner - size if at_end else 0)
    flat = torch.frombuffer(memory, dtype=torch.float32, count=x.numel(), offset=offset)
    images, channels, height, width = x.shape
    placed = flat.view(images, height, width, channels).permute(0, 3, 1, 2)
    return placed.copy_(x)


def stay_inside() -> None:
    for target in (None, *OVERRIDES):
        for name in CHOSEN:
            packed, epilogue, x, residual = make(CASES[name])
            operator = cpu.ENGINE.build(packed, epilogue, target=target)
            for at_end in (False, True):
                edge = place_at_edge(x, at_end)
                beside = None if residual is None else place_at_edge(residual, at_end)
                y = operator(edge, beside)
                assert_close(y, packed=packed, x=x, epilogue=epilogue, residual=residual)


def step_outside() -> None:
    x = place_at_edge(torch.zeros(1, 8, 3, 3).contiguous(memory_format=torch.channels_last), at_end=True)
    ctypes.string_at(x.data_ptr() + 4 * x.numel(), 4)


if __name__ == "__main__":
    torch.set_num_threads(2)
    {"inside": stay_inside, "outside": step_outside}[sys.argv[1]]()
