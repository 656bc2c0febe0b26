"""The vector units the CPU engine can generate code for, and the just-in-time compiler behind it.

llvmlite is imported inside functions only: looking at this module must not need it.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import Any


@dataclass(frozen=True)
class VectorTarget:
    """A register file: `registers` vectors of `lanes` float32, and how LLVM is told about the CPU.

    `heights` are the vectors per register block in order of preference: two wide vectors per pixel load each
    broadcast input value once for two products; narrow vectors need more of them for the same ratio.

    >>> VectorTarget("avx512", lanes=16, registers=32).pixels(2)
    14
    """

    name: str
    lanes: int
    registers: int
    heights: tuple[int, ...] = (2, 3, 1)
    cpu: str = "host"
    features: str = ""

    def pixels(self, vectors: int) -> int:
        """Pixels of a register block `vectors` high: what is left beside the weights and one input value.

        A block one vector high stays four below the register count: beyond that it is bound by loads anyway.
        """
        return min((self.registers - 1 - vectors) // vectors, self.registers - 4)

    def narrowed(self, rows: int) -> VectorTarget:
        """The same target with half vectors where `rows` filters would leave half of every vector empty."""
        if self.lanes == 16 and rows <= 8:
            return VectorTarget(self.name, 8, self.registers, self.heights, self.cpu, self.features)
        return self


def host_target() -> VectorTarget | str:
    """The widest target of this machine, or the reason there is none."""
    if find_spec("llvmlite") is None:
        return "llvmlite is not installed (pip install llvmlite)"
    from llvmlite import binding

    features = binding.get_host_cpu_features()
    machine = binding.get_default_triple().split("-")[0]
    if features.get("avx512f") and features.get("avx512vl"):
        return VectorTarget("avx512", 16, 32, features=features.flatten() + ",-prefer-256-bit")
    if features.get("avx2") and features.get("fma"):
        return VectorTarget("avx2", 8, 16, features=features.flatten())
    if machine in ("aarch64", "arm64"):
        return VectorTarget("neon", 4, 32, heights=(4, 3, 2, 1), features=features.flatten())
    return f"this CPU ({machine}) has none of AVX-512, AVX2 with FMA, NEON"


# What can be asked for by name beside the host's own, so that one machine tests every register blocking.
# "narrow" is NEON's shape in whatever 4-lane instructions the host has.
OVERRIDES = {
    "avx2": VectorTarget("avx2", 8, 16, cpu="haswell"),
    "narrow": VectorTarget("narrow", 4, 32, heights=(4, 3, 2, 1)),
}


def choose_target(name: str | None = None) -> VectorTarget:
    """The target `name` of OVERRIDES, or the host's. Raises RuntimeError with the reason if there is none."""
    host = host_target()
    if isinstance(host, str):
        raise RuntimeError(host)
    return host if name is None else OVERRIDES[name]


class Compiler:
    """Turns modules of LLVM IR into callable addresses; keeps them for the life of the process."""

    def __init__(self, cpu: str, features: str) -> None:
        from llvmlite import binding

        binding.initialize_native_target()
        binding.initialize_native_asmprinter()
        host = binding.get_host_cpu_name() if cpu == "host" else cpu
        target = binding.Target.from_default_triple()
        self._machine = target.create_target_machine(cpu=host, features=features, opt=3, jit=True)
        self._engine = binding.create_mcjit_compiler(binding.parse_assembly(""), self._machine)
        self._lock = threading.Lock()
        self._serial = 0

    def unique(self, prefix: str) -> str:
        """A function name not given out before."""
        with self._lock:
            self._serial += 1
            return f"{prefix}_{self._serial}"

    def _parse(self, module: Any) -> Any:
        """The verified LLVM form of an `llvmlite.ir.Module`.

        No optimisation passes: the generators emit what they mean, so passes doubled the time to compile and
        changed no timing; choosing registers and instructions (opt=3 above) is what matters.
        """
        from llvmlite import binding

        parsed = binding.parse_assembly(str(module))
        parsed.verify()
        return parsed

    def assembly(self, module: Any) -> str:
        """The machine code of `module` as text, to be read."""
        return self._machine.emit_assembly(self._parse(module))

    def add(self, module: Any, function: str) -> int:
        """Compile `module`; the address of its `function`."""
        with self._lock:
            self._engine.add_module(self._parse(module))
            self._engine.finalize_object()
            return self._engine.get_function_address(function)


def compiler(cpu: str, features: str) -> Compiler:
    """The one compiler of a CPU and feature set, whichever thread asks first.

    It owns the code it made: a second one, made in a race and then forgotten, would take its code with it.
    """
    with _ONE_COMPILER:
        return _make_compiler(cpu, features)


@cache
def _make_compiler(cpu: str, features: str) -> Compiler:
    return Compiler(cpu, features)


_ONE_COMPILER = threading.Lock()
