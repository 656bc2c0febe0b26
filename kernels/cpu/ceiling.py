"""What this processor could do at best: its multiply-add rate and its copy rate, measured, not looked up."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable
from functools import cache
from typing import Any

import torch

from kernels.cpu import threads as cpu_threads
from kernels.cpu.blocks import FLOAT
from kernels.cpu.emit import Emitter
from kernels.cpu.target import choose_target, compiler
from kernels.roofline import Ceiling

_ROUNDS = 20_000  # of the inner loop: about 0.1 ms, short enough to slip between other work
_LEAST_RUNS = 3
_COPY_BYTES = 64 * 2**20  # beyond every core's own cache


def measure_ceiling(seconds: float = 0.5) -> Ceiling:
    """The best of all runs of each in `seconds`, on torch's threads. RuntimeError without wide vectors."""
    threads = torch.get_num_threads()
    source = torch.zeros(_COPY_BYTES // 4)
    target = torch.zeros_like(source)
    copy = _best(lambda: target.copy_(source), seconds)
    function, flops = _multiply_adds()
    argument = (ctypes.c_float * 48)(*[0.5] * 48)
    work = _best(lambda: cpu_threads.run(function, ctypes.addressof(argument), threads), seconds)
    return Ceiling(flops * threads / work, 2 * _COPY_BYTES / copy, threads)


def _best(run: Callable[[], object], seconds: float) -> float:
    """Many short runs: on a busy machine, few of them have all threads running at once."""
    times: list[float] = []
    while sum(times) < seconds or len(times) < _LEAST_RUNS:
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)


@cache
def _multiply_adds() -> tuple[int, float]:
    """Address of a loop of independent multiply-adds in registers, and the operations one call makes."""
    from llvmlite import ir

    target = choose_target()
    made = compiler(target.cpu, target.features)
    module = ir.Module(made.unique("peak"))
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [ir.IntType(8).as_pointer()]), module.name)
    sums = target.registers - 4
    _write_loop(Emitter(function), ir.VectorType(ir.FloatType(), target.lanes), sums)
    return made.add(module, module.name), 2.0 * _ROUNDS * sums * target.lanes


def _write_loop(emit: Emitter, vector: Any, sums: int) -> None:
    """`sums` running sums s = a * s + b, enough to hide each one's latency; their total is stored."""
    ir, at = emit.ir, emit.at
    name = f"llvm.fma.v{vector.count}f32"
    fma = ir.Function(emit.function.module, ir.FunctionType(vector, [vector] * 3), name)
    (argument,) = emit.function.args
    a, b = (emit.load(vector, argument, 64 * i) for i in range(2))
    before, body, after = at.block, emit.block("loop"), emit.block("stored")
    at.branch(body)
    at.position_at_end(body)
    count = at.phi(emit.i64)
    running = [at.phi(vector) for _ in range(sums)]
    following = [at.call(fma, [a, phi, b]) for phi in running]
    step = at.add(count, emit.const(1))
    at.cbranch(at.icmp_signed("<", step, emit.const(_ROUNDS)), body, after)
    count.add_incoming(emit.const(0), before)
    count.add_incoming(step, body)
    for phi, value in zip(running, following, strict=True):
        phi.add_incoming(a, before)
        phi.add_incoming(value, body)
    at.position_at_end(after)
    total = following[0]
    for value in following[1:]:
        total = at.fadd(total, value)
    place = at.bitcast(emit.address(argument, 128), vector.as_pointer())
    at.store(total, place).align = FLOAT
    at.ret_void()
