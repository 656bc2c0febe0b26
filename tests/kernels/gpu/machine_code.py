"""Compile what a layer would launch, for a card that need not be there, and read its machine code.

The kernels are compiled through the very call that launches them: host code, block sizes and the alignment
that Triton derives from the arguments are those of a real run. What is read is the final code of the card
(SASS), because every loss that matters here leaves the numbers right and the kernel slow.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

import torch
import triton
from triton.backends.compiler import GPUTarget

_TOOLS = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"
_TENSOR_CORES = ("HMMA", "HGMMA", "UTCHMMA")
# Shared memory a thread block may ask for: CUDA C++ Programming Guide, technical specifications.
SHARED_BYTES = {80: 163 * 1024, 89: 99 * 1024, 90: 227 * 1024, 100: 227 * 1024}


@dataclass(frozen=True)
class Code:
    """Instructions of a compiled kernel: all, and those of its main loop (the innermost with a product).

    `stack` is the local memory of a thread in bytes: what did not fit its registers. `shared` is that of a
    thread block.
    """

    all: Counter[str]
    loop: Counter[str]
    stack: int
    shared: int

    def of(self, *names: str, loop: bool = False) -> Counter[str]:
        """The instructions whose names begin so: {"LDG.E.128": 8}."""
        place = self.loop if loop else self.all
        return Counter(
            {name: n for name, n in place.items() if re.match(rf"({'|'.join(names)})(\.|$)", name)}
        )

    def narrow(self, *names: str, loop: bool = False) -> Counter[str]:
        """Those of them that move less than 16 bytes a thread."""
        found = self.of(*names, loop=loop)
        return Counter({name: n for name, n in found.items() if not name.endswith(".128")})

    def wide(self, name: str, *, loop: bool = False) -> int:
        """How many of them move 16 bytes a thread."""
        return self.of(name, loop=loop).total() - self.narrow(name, loop=loop).total()


def code_of(capability: int, module: ModuleType, kernel: str, launch: Callable[[], None]) -> Code:
    """The code that `launch` would run of `kernel` in `module` on a card of that compute capability."""
    recorder = _Recorder(getattr(module, kernel))
    with _compiling_for(capability), patch.object(module, kernel, recorder):
        launch()
    compiled = recorder.compiled
    usage = _run("cuobjdump", compiled.asm["cubin"], "-res-usage")
    lines = _run("nvdisasm", compiled.asm["cubin"], "-c").splitlines()
    loops = [loop for loop in _loops(lines) if any(name.startswith(_TENSOR_CORES) for name in loop)]
    found = re.search(r"STACK:(\d+)", usage)
    assert found, usage
    return Code(
        _instructions(lines),
        min(loops, key=Counter.total, default=Counter()),
        int(found[1]),
        compiled.metadata.shared,
    )


class _Recorder:
    """Stands in for a kernel: a launch compiles it and goes no further."""

    def __init__(self, kernel: Any) -> None:
        self._kernel = kernel
        self.compiled: Any = None

    def __getitem__(self, grid: tuple[int, ...]) -> Callable[..., None]:
        def launch(*arguments: object, **options: object) -> None:
            self.compiled = self._kernel.warmup(*arguments, grid=grid, **options)

        return launch


class _Card:
    """What Triton asks of a driver in order to compile."""

    def __init__(self, capability: int) -> None:
        self.capability = capability

    def get_current_device(self) -> int:
        return self.capability  # kernels are kept by device

    def get_current_stream(self, device: int) -> int:
        return 0

    def get_current_target(self) -> GPUTarget:
        return GPUTarget("cuda", self.capability, 32)


@contextmanager
def _compiling_for(capability: int) -> Iterator[None]:
    triton.runtime.driver.set_active(_Card(capability))
    try:
        yield
    finally:
        if torch.cuda.is_available():
            triton.runtime.driver.reset_active()


def _run(tool: str, cubin: bytes, option: str) -> str:
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        done = subprocess.run(
            [_TOOLS / tool, option, file.name], capture_output=True, text=True, check=True, timeout=60
        )
    return done.stdout


def _instructions(lines: list[str]) -> Counter[str]:
    """Names with their modifiers, of lines like `/*0a10*/ @!P0 LDG.E.128 R4, [R2] ;`."""
    pattern = re.compile(r"^\s*/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\w+\s+)?([A-Z][A-Z0-9_.]+)")
    return Counter(found[1] for line in lines if (found := pattern.match(line)))


def _loops(lines: list[str]) -> Iterator[Counter[str]]:
    """The instructions between each label and a branch back to it."""
    labels: dict[str, int] = {}
    for number, line in enumerate(lines):
        if label := re.match(r"^(\.L_x_\d+):", line):
            labels[label[1]] = number
        back = re.search(r"\bBRA\b.*`\((\.L_x_\d+)\)", line)
        if back and back[1] in labels:
            yield _instructions(lines[labels[back[1]] : number + 1])
