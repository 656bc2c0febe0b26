"""The driver that every thread runs: takes tasks from a shared counter until none is left.

A task is a chunk of panels times a chunk of pixel blocks (of all images in a row). Inside it every block
meets all panels in turn: its input stays in the first cache, its output is written from end to end, and
weights come from the second cache, which keeps up easily (two vectors per 14 cycles). Panels outside and
blocks inside was as fast for 3x3 layers, but wrote outputs in scattered strips: 2.4 instead of 1.3 ms for
1x1 64-256 at ratio 0.75, 4 images of 56 x 56, one AVX-512 core.
"""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any

from kernels.cpu_codegen import BLOCK_FIELDS, PANEL_FIELDS
from kernels.cpu_emit import Emitter
from kernels.cpu_target import VectorTarget, compiler

# x, y, residual: base addresses. *_image: bytes from one image to the next. *_chunk: how many make a task.
# block_chunks: tasks per panel chunk; they follow each other, so the chunk's weights stay in the cache.
CALL_FIELDS = (
    "x",
    "y",
    "residual",
    "panels",
    "panel_count",
    "panel_chunk",
    "blocks",
    "block_count",
    "block_chunk",
    "all_blocks",
    "x_image",
    "y_image",
    "block_chunks",
    "tasks",
    "counter",
)


class Call(ctypes.Structure):
    """One run of a layer, as the driver reads it."""

    _fields_ = [(name, ctypes.c_int64) for name in CALL_FIELDS]


@cache
def driver_address(target: VectorTarget) -> int:
    """Compile the driver (once per process and target) and return its address: `void driver(Call*)`."""
    made = compiler(target.cpu, target.features)
    name = made.unique("driver")
    return made.add(driver_module(name), name)


def driver_module(name: str) -> Any:
    """The `llvmlite.ir.Module` with the driver function `name`."""
    from llvmlite import ir

    module = ir.Module(name)
    pointer = ir.IntType(8).as_pointer()
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [pointer]), name)
    _DriverWriter(function)
    return module


class _DriverWriter:
    def __init__(self, function: Any) -> None:
        self.emit = emit = Emitter(function)
        (self.call,) = function.args
        self.fields = {f: emit.field(self.call, CALL_FIELDS, f) for f in CALL_FIELDS if f != "counter"}
        at, ask, work, finish = emit.at, emit.block("ask"), emit.block("work"), emit.block("finish")
        at.branch(ask)
        at.position_at_end(ask)
        task = self._next_task()
        at.cbranch(at.icmp_signed("<", task, self.fields["tasks"]), work, finish)
        at.position_at_end(work)
        self._run(task)
        at.branch(ask)
        at.position_at_end(finish)
        at.ret_void()

    def _next_task(self) -> Any:
        emit, at = self.emit, self.emit.at
        counter = emit.address(self.call, 8 * CALL_FIELDS.index("counter"))
        return at.atomic_rmw("add", at.bitcast(counter, emit.i64.as_pointer()), emit.const(1), "monotonic")

    def _run(self, task: Any) -> None:
        """Walk the task's blocks and, for each, its panels."""
        emit, at, fields = self.emit, self.emit.at, self.fields
        panel_chunk, block_chunk = (
            at.sdiv(task, fields["block_chunks"]),
            at.srem(task, fields["block_chunks"]),
        )
        panels = self._span(panel_chunk, fields["panel_chunk"], fields["panel_count"])
        blocks = self._span(block_chunk, fields["block_chunk"], fields["all_blocks"])
        with emit.loop(*blocks) as block, emit.loop(*panels) as number:
            offset = at.mul(number, emit.const(8 * len(PANEL_FIELDS)))
            self._run_block(block, emit.address(emit.pointer(fields["panels"]), offset))

    def _span(self, chunk: Any, size: Any, limit: Any) -> tuple[Any, Any]:
        at = self.emit.at
        first = at.mul(chunk, size)
        end = at.add(first, size)
        return first, at.select(at.icmp_signed("<", end, limit), end, limit)

    def _run_block(self, block: Any, panel: Any) -> None:
        """Call the micro-kernel of the block's layout and the panel's ending."""
        emit, at, fields = self.emit, self.emit.at, self.fields
        image, inside = at.sdiv(block, fields["block_count"]), at.srem(block, fields["block_count"])
        offset = at.mul(inside, emit.const(8 * len(BLOCK_FIELDS)))
        record = emit.address(emit.pointer(fields["blocks"]), offset)
        x = at.add(at.mul(image, fields["x_image"]), emit.field(record, BLOCK_FIELDS, "x"))
        y = at.add(at.mul(image, fields["y_image"]), emit.field(record, BLOCK_FIELDS, "y"))
        y = at.add(y, emit.field(panel, PANEL_FIELDS, "channel"))
        ending = at.shl(emit.field(panel, PANEL_FIELDS, "ending"), emit.const(3))
        kind = emit.ir.FunctionType(emit.ir.VoidType(), [emit.bytes] * 5).as_pointer()
        kernel = at.inttoptr(emit.load(emit.i64, record, ending), kind)
        places = [at.add(fields["x"], x), at.add(fields["y"], y), at.add(fields["residual"], y)]
        at.call(kernel, [panel, record, *(emit.pointer(place) for place in places)])
