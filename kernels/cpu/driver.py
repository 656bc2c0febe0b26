"""The driver that every thread runs: its own share of the tasks first, then what others have left.

Every thread takes the tasks of its share one by one from the share's counter, and then from the counters of
the next threads. So the load stays even when a core is busy elsewhere or tiles are unbalanced, and yet a
thread finds its weights, and the input that it wrote as output of the layer before, in its own cache.

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

from kernels.cpu.codegen import BLOCK_FIELDS, PANEL_FIELDS
from kernels.cpu.emit import Emitter
from kernels.cpu.target import VectorTarget, compiler

# x, y, residual: base addresses. *_image: bytes from one image to the next. *_chunk: how many make a task.
# block_chunks: tasks per panel chunk; they follow each other, so the chunk's weights stay in the cache.
# ahead: see _fetch_ahead; 0 asks for nothing. workers: shares. thread_number: address of `int32 number()`,
# which tells a thread its share, or 0; then `arrived` counts the threads.
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
    "ahead",
    "block_chunks",
    "tasks",
    "workers",
    "thread_number",
    "arrived",
)
# Counters lie a cache line apart, so that threads do not wait for each other's.
MOST_WORKERS, _LINE = 64, 8


class Call(ctypes.Structure):
    """One run of a layer, as the driver reads it."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in CALL_FIELDS),
        ("counters", ctypes.c_int64 * (MOST_WORKERS * _LINE)),
    ]


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
        self.fields = {name: emit.field(self.call, CALL_FIELDS, name) for name in CALL_FIELDS}
        own, workers = self._thread_number(), self.fields["workers"]
        with emit.loop(emit.const(0), workers) as turn:
            self._finish_share(emit.at.srem(emit.at.add(own, turn), workers))
        emit.at.ret_void()

    def _thread_number(self) -> Any:
        """What the runtime says, which is the same in every layer; without one, the order of arrival."""
        emit, at = self.emit, self.emit.at
        team, alone, known = emit.block("team"), emit.block("alone"), emit.block("known")
        at.cbranch(at.icmp_signed("!=", self.fields["thread_number"], emit.const(0)), team, alone)
        at.position_at_end(team)
        kind = emit.ir.FunctionType(emit.ir.IntType(32), []).as_pointer()
        told = at.sext(at.call(at.inttoptr(self.fields["thread_number"], kind), []), emit.i64)
        at.branch(known)
        at.position_at_end(alone)
        came = self._count(emit.const(8 * CALL_FIELDS.index("arrived")))
        at.branch(known)
        at.position_at_end(known)
        number = at.phi(emit.i64)
        number.add_incoming(told, team)
        number.add_incoming(came, alone)
        return number

    def _finish_share(self, share: Any) -> None:
        """Run what is left of tasks share * tasks / workers ... (share + 1) * tasks / workers - 1."""
        emit, at = self.emit, self.emit.at
        first, end = self._bound(share), self._bound(at.add(share, emit.const(1)))
        ask, work, finish = emit.block("ask"), emit.block("work"), emit.block("finish")
        at.branch(ask)
        at.position_at_end(ask)
        task = at.add(first, self._next(share))
        at.cbranch(at.icmp_signed("<", task, end), work, finish)
        at.position_at_end(work)
        self._run(task)
        at.branch(ask)
        at.position_at_end(finish)

    def _bound(self, share: Any) -> Any:
        return self.emit.at.sdiv(self.emit.at.mul(share, self.fields["tasks"]), self.fields["workers"])

    def _next(self, share: Any) -> Any:
        """The next number, from 0, of the share's counter."""
        line = self.emit.at.mul(share, self.emit.const(8 * _LINE))
        return self._count(self.emit.at.add(line, self.emit.const(8 * len(CALL_FIELDS))))

    def _count(self, offset: Any) -> Any:
        """The value of the counter at byte `offset` of the call before one is added to it, in one step."""
        emit, at = self.emit, self.emit.at
        counter = at.bitcast(emit.address(self.call, offset), emit.i64.as_pointer())
        return at.atomic_rmw("add", counter, emit.const(1), "monotonic")

    def _run(self, task: Any) -> None:
        """Walk the task's blocks and, for each, its panels."""
        emit, at, fields = self.emit, self.emit.at, self.fields
        panel_chunk, block_chunk = (
            at.sdiv(task, fields["block_chunks"]),
            at.srem(task, fields["block_chunks"]),
        )
        panels = self._span(panel_chunk, fields["panel_chunk"], fields["panel_count"])
        blocks = self._span(block_chunk, fields["block_chunk"], fields["all_blocks"])
        with emit.loop(*blocks) as block:
            with at.if_then(at.icmp_signed("!=", fields["ahead"], emit.const(0))):
                self._fetch_ahead(block)
            with emit.loop(*panels) as number:
                offset = at.mul(number, emit.const(8 * len(PANEL_FIELDS)))
                self._run_block(block, emit.address(emit.pointer(fields["panels"]), offset))

    def _fetch_ahead(self, block: Any) -> None:
        """Ask for the input between this block's first pixel and the next one's, `ahead` bytes further on.

        So every line of the input is asked for once, shortly before a block's last row needs it.
        """
        emit, at, fields = self.emit, self.emit.at, self.fields
        image, record = self._locate(block)
        base = at.add(at.add(fields["x"], fields["ahead"]), at.mul(image, fields["x_image"]))
        places = [at.add(base, emit.field(record, BLOCK_FIELDS, name)) for name in ("x", "next_x")]
        first, end = (at.lshr(place, emit.const(6)) for place in places)
        i32 = emit.ir.IntType(32)
        kind = emit.ir.FunctionType(emit.ir.VoidType(), [emit.bytes, i32, i32, i32])
        prefetch = emit.ir.Function(emit.function.module, kind, "llvm.prefetch.p0")
        read, second_cache, data = (emit.ir.Constant(i32, value) for value in (0, 2, 1))
        with emit.loop(first, end) as line:
            at.call(prefetch, [emit.pointer(at.shl(line, emit.const(6))), read, second_cache, data])

    def _locate(self, block: Any) -> tuple[Any, Any]:
        """The image that a block number means, and the block's record."""
        emit, at, fields = self.emit, self.emit.at, self.fields
        image, inside = at.sdiv(block, fields["block_count"]), at.srem(block, fields["block_count"])
        offset = at.mul(inside, emit.const(8 * len(BLOCK_FIELDS)))
        return image, emit.address(emit.pointer(fields["blocks"]), offset)

    def _span(self, chunk: Any, size: Any, limit: Any) -> tuple[Any, Any]:
        at = self.emit.at
        first = at.mul(chunk, size)
        end = at.add(first, size)
        return first, at.select(at.icmp_signed("<", end, limit), end, limit)

    def _run_block(self, block: Any, panel: Any) -> None:
        """Call the micro-kernel of the block's layout and the panel's ending."""
        emit, at, fields = self.emit, self.emit.at, self.fields
        image, record = self._locate(block)
        x = at.add(at.mul(image, fields["x_image"]), emit.field(record, BLOCK_FIELDS, "x"))
        y = at.add(at.mul(image, fields["y_image"]), emit.field(record, BLOCK_FIELDS, "y"))
        y = at.add(y, emit.field(panel, PANEL_FIELDS, "channel"))
        ending = at.shl(emit.field(panel, PANEL_FIELDS, "ending"), emit.const(3))
        kind = emit.ir.FunctionType(emit.ir.VoidType(), [emit.bytes] * 5).as_pointer()
        kernel = at.inttoptr(emit.load(emit.i64, record, ending), kind)
        places = [at.add(fields["x"], x), at.add(fields["y"], y), at.add(fields["residual"], y)]
        at.call(kernel, [panel, record, *(emit.pointer(place) for place in places)])
