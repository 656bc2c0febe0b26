"""The micro-kernel of the CPU engine, written as LLVM IR: one register block of one panel.

    y[pixel, filter] = activation(bias[filter] + sum_j w[j, filter] * x[pixel + offset[j]] (+ residual))

Filters run along the vector lanes, pixels along the registers. One kept column j costs `vectors` weight
loads, one broadcast per pixel and vectors * pixels multiply-adds: nothing is gathered, padded or copied.
Example: AVX-512, 2 vectors x 14 pixels = 28 sums in registers, 28 multiply-adds for 16 loads.

How columns are walked: they are sorted by tap (r, s). A block's groups (see blocks) name runs of taps
and the pixels that are inside the plane for them; each such set of pixels has its own loop (a path). Pixels
outside keep their sums.

Three endings: `full` stores whole vectors to consecutive filters. `rows` puts the sums of a panel's kept
filters back between removed ones (and cuts ragged ends): sums go to a scratch line, each output vector takes
the next values of it where its `kept` bit is set (an expanding load) and zero elsewhere, and stores the
lanes of its `valid` bits. `scattered` undoes a permutation of filters: lane by lane, sums go from the
scratch line to the output they belong to.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from kernels.cpu.blocks import FLOAT, Layout
from kernels.cpu.emit import Emitter
from kernels.cpu.target import VectorTarget, compiler

# Records shared by the generated code and the tables that feed it; every field is 8 bytes.
PANEL_FIELDS = ("weight", "offsets", "segments", "bias", "channel", "outputs", "rows", "ending")
BLOCK_FIELDS = ("full", "rows", "scattered", "x", "next_x", "y", "groups", "group_count")
# An output vector of a `rows` ending: its kept bits, its valid bits, where its values start in scratch.
ROW_FIELDS = ("kept", "valid", "position")
ENDINGS = ("full", "rows", "scattered")


@dataclass(frozen=True)
class KernelShape:
    """Everything a micro-kernel has compiled into it."""

    target: VectorTarget
    vectors: int
    layout: Layout
    activation: str
    residual: bool
    ending: str


@cache
def kernel_address(shape: KernelShape) -> int:
    """Compile the micro-kernel of `shape` (once per process) and return its address."""
    made = compiler(shape.target.cpu, shape.target.features)
    name = made.unique("tile")
    return made.add(kernel_module(shape, name), name)


def kernel_module(shape: KernelShape, name: str) -> Any:
    """The `llvmlite.ir.Module` with function `name`(panel*, block*, x*, y*, residual*)."""
    return _KernelWriter(shape, name).module


class _KernelWriter:
    """Writes one micro-kernel; `sums[p][v]` is the running sum of pixel p, vector v."""

    def __init__(self, shape: KernelShape, name: str) -> None:
        from llvmlite import ir

        self.shape = shape
        self.lanes, self.pixels = shape.target.lanes, len(shape.layout.x)
        self.vector = ir.VectorType(ir.FloatType(), self.lanes)
        self.module = ir.Module(name)
        pointer = ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [pointer] * 5)
        function = ir.Function(self.module, kind, name)
        self.panel, self.blockrec, self.x, self.y, self.residual = function.args
        self.emit = Emitter(function)
        sums = self._walk_groups(self._first_sums())
        {"full": self._end_full, "rows": self._end_rows, "scattered": self._end_scattered}[shape.ending](sums)
        self.emit.at.ret_void()

    # ------------------------------------------------------------------------------------------ small parts
    def _each(self, make: Any) -> list[list[Any]]:
        return [[make(p, v) for v in range(self.shape.vectors)] for p in range(self.pixels)]

    def _intrinsic(self, name: str, *kinds: Any) -> Any:
        full = f"llvm.{name}.v{self.lanes}f32"
        found = self.module.globals.get(full)
        ir = self.emit.ir
        return found or ir.Function(self.module, ir.FunctionType(kinds[0], kinds[1:]), full)

    def _splat(self, scalar: Any) -> Any:
        ir, at = self.emit.ir, self.emit.at
        undefined = ir.Constant(self.vector, ir.Undefined)
        zeros = ir.Constant(ir.VectorType(ir.IntType(32), self.lanes), [0] * self.lanes)
        single = at.insert_element(undefined, scalar, ir.Constant(ir.IntType(32), 0))
        return at.shuffle_vector(single, undefined, zeros)

    def _constant(self, value: float, kind: Any = None) -> Any:
        """`value` in every lane; as a single float where that is the `kind`."""
        single = isinstance(kind, self.emit.ir.FloatType)
        return self.emit.ir.Constant(kind or self.vector, value if single else [value] * self.lanes)

    def _vector_at(self, index: int) -> int:
        return index * self.lanes * FLOAT

    # ------------------------------------------------------------------------------------------ the product
    def _first_sums(self) -> list[list[Any]]:
        """Sums start at the bias; a `rows` ending adds it later, where filters are back in place."""
        if self.shape.ending == "rows":
            return self._each(lambda p, v: self._constant(0.0))
        bias = self.emit.pointer(self.emit.field(self.panel, PANEL_FIELDS, "bias"))
        start = [self.emit.load(self.vector, bias, self._vector_at(v)) for v in range(self.shape.vectors)]
        return self._each(lambda p, v: start[v])

    def _walk_groups(self, first: list[list[Any]]) -> list[list[Any]]:
        """The loop over the block's groups; returns the finished sums."""
        emit, at = self.emit, self.emit.at
        groups = emit.pointer(emit.field(self.blockrec, BLOCK_FIELDS, "groups"))
        count = emit.field(self.blockrec, BLOCK_FIELDS, "group_count")
        self.segments = emit.pointer(emit.field(self.panel, PANEL_FIELDS, "segments"))
        self.offsets = emit.pointer(emit.field(self.panel, PANEL_FIELDS, "offsets"))
        self.weight = emit.pointer(emit.field(self.panel, PANEL_FIELDS, "weight"))
        before, head, body, after = at.block, emit.block("groups"), emit.block("group"), emit.block("done")
        at.branch(head)
        at.position_at_end(head)
        number = at.phi(emit.i64)
        sums = self._each(lambda p, v: at.phi(self.vector))
        at.cbranch(at.icmp_signed("<", number, count), body, after)
        at.position_at_end(body)
        joined, join = self._walk_paths(groups, number, sums)
        at.position_at_end(join)
        following = at.add(number, emit.const(1))
        at.branch(head)
        number.add_incoming(emit.const(0), before)
        number.add_incoming(following, join)
        for p, v in self._places():
            sums[p][v].add_incoming(first[p][v], before)
            sums[p][v].add_incoming(joined[p][v], join)
        at.position_at_end(after)
        return sums

    def _places(self) -> list[tuple[int, int]]:
        return [(p, v) for p in range(self.pixels) for v in range(self.shape.vectors)]

    def _walk_paths(self, groups: Any, number: Any, sums: list[list[Any]]) -> tuple[list[list[Any]], Any]:
        """Branch to the loop of the group's path; returns the sums where all paths meet, and that block."""
        emit, at = self.emit, self.emit.at
        entry = at.mul(number, emit.const(3))
        tap, end, path = (emit.int32(groups, at.add(entry, emit.const(i))) for i in range(3))
        first, last = emit.int32(self.segments, tap), emit.int32(self.segments, end)
        paths = self.shape.layout.paths
        entries, join = [emit.block(f"path{i}") for i in range(len(paths))], emit.block("join")
        switch = at.switch(path, entries[0])
        for index in range(1, len(paths)):
            switch.add_case(emit.const(index), entries[index])
        at.position_at_end(join)
        joined = self._each(lambda p, v: at.phi(self.vector))
        for pixels, block in zip(paths, entries, strict=True):
            at.position_at_end(block)
            self._walk_columns(pixels, (first, last), sums, (joined, join))
        return joined, join

    def _walk_columns(
        self,
        pixels: tuple[int, ...],
        span: tuple[Any, Any],
        sums: list[list[Any]],
        meeting: tuple[list[list[Any]], Any],
    ) -> None:
        """The loop over kept columns span[0] ... span[1] - 1 for the pixels of one path."""
        emit, at, (joined, join) = self.emit, self.emit.at, meeting
        before, body = at.block, emit.block("columns")
        at.cbranch(at.icmp_signed("<", *span), body, join)
        at.position_at_end(body)
        column = at.phi(emit.i64)
        running = {(p, v): at.phi(self.vector) for p in pixels for v in range(self.shape.vectors)}
        done = self._multiply(column, running)
        following = at.add(column, emit.const(1))
        at.cbranch(at.icmp_signed("<", following, span[1]), body, join)
        column.add_incoming(span[0], before)
        column.add_incoming(following, body)
        for place, phi in running.items():
            phi.add_incoming(sums[place[0]][place[1]], before)
            phi.add_incoming(done[place], body)
        for p, v in self._places():
            joined[p][v].add_incoming(sums[p][v], before)
            joined[p][v].add_incoming(done.get((p, v), sums[p][v]), body)

    def _multiply(self, column: Any, running: dict[tuple[int, int], Any]) -> dict[tuple[int, int], Any]:
        """One kept column: its weights times one input value per pixel, added to the sums."""
        emit, at = self.emit, self.emit.at
        fma = self._intrinsic("fma", *[self.vector] * 4)
        x = emit.address(self.x, emit.int32(self.offsets, column))
        weight = emit.address(self.weight, at.mul(column, emit.const(self._vector_at(self.shape.vectors))))
        weights = [emit.load(self.vector, weight, self._vector_at(v)) for v in range(self.shape.vectors)]
        done = {}
        for p in sorted({place[0] for place in running}):
            value = self._splat(emit.load(emit.ir.FloatType(), x, self.shape.layout.x[p]))
            for v in range(self.shape.vectors):
                done[p, v] = at.call(fma, [weights[v], value, running[p, v]])
        return done

    # ------------------------------------------------------------------------------------------ the endings
    def _activate(self, value: Any) -> Any:
        # maxnum(0, NaN) would hide a NaN that F.relu keeps: compare and select keep it.
        at = self.emit.at
        zero, six = (self._constant(number, value.type) for number in (0.0, 6.0))
        if self.shape.activation in ("relu", "relu6"):
            value = at.select(at.fcmp_ordered("<", value, zero), zero, value)
        if self.shape.activation == "relu6":
            value = at.select(at.fcmp_ordered(">", value, six), six, value)
        return value

    def _end_full(self, sums: list[list[Any]]) -> None:
        emit, at = self.emit, self.emit.at
        for p, v in self._places():
            offset = self.shape.layout.y[p] + self._vector_at(v)
            value = sums[p][v]
            if self.shape.residual:
                value = at.fadd(value, emit.load(self.vector, self.residual, offset))
            target = at.bitcast(emit.address(self.y, offset), self.vector.as_pointer())
            at.store(self._activate(value), target).align = FLOAT

    def _scratch_lines(self, sums: list[list[Any]]) -> Any:
        """Sums in memory, a line of lanes per pixel."""
        emit, at = self.emit, self.emit.at
        # One line behind the last: an expanding load never leaves the scratch.
        size = self._vector_at(self.shape.vectors * (self.pixels + 1)) // FLOAT
        scratch = at.alloca(emit.ir.ArrayType(emit.ir.FloatType(), size))
        scratch.align = 64
        lines = at.bitcast(scratch, emit.bytes)
        for p, v in self._places():
            target = emit.address(lines, self._vector_at(p * self.shape.vectors + v))
            at.store(sums[p][v], at.bitcast(target, self.vector.as_pointer())).align = FLOAT
        return lines

    def _end_scattered(self, sums: list[list[Any]]) -> None:
        emit, at, single = self.emit, self.emit.at, self.emit.ir.FloatType()
        if not self.shape.residual:
            sums = self._each(lambda p, v: self._activate(sums[p][v]))
        lines = self._scratch_lines(sums)
        places = emit.pointer(emit.field(self.panel, PANEL_FIELDS, "rows"))
        width = self.shape.vectors * self.lanes
        with emit.loop(emit.const(0), emit.const(width)) as lane:
            line, place = emit.address(lines, at.shl(lane, emit.const(2))), emit.int32(places, lane)
            y = emit.address(self.y, place)
            for p, offset in enumerate(self.shape.layout.y):
                value = emit.load(single, line, p * width * FLOAT)
                if self.shape.residual:
                    added = emit.load(single, emit.address(self.residual, place), offset)
                    value = self._activate(at.fadd(value, added))
                target = at.bitcast(emit.address(y, offset), single.as_pointer())
                at.store(value, target).align = FLOAT

    def _end_rows(self, sums: list[list[Any]]) -> None:
        emit, at = self.emit, self.emit.at
        width = self.shape.vectors * self.lanes
        lines = self._scratch_lines(sums)
        bias = emit.pointer(emit.field(self.panel, PANEL_FIELDS, "bias"))
        rows = emit.pointer(emit.field(self.panel, PANEL_FIELDS, "rows"))
        outputs = emit.field(self.panel, PANEL_FIELDS, "outputs")
        with emit.loop(emit.const(0), outputs) as output:
            step = at.mul(output, emit.const(self.lanes * FLOAT))
            added = emit.load(self.vector, bias, step)
            entry = at.mul(output, emit.const(len(ROW_FIELDS)))
            kept, valid, position = (emit.int32(rows, at.add(entry, emit.const(i))) for i in range(3))
            start = at.shl(position, emit.const(2))
            masks = self._mask(kept), self._mask(valid)
            for p in range(self.pixels):
                value = self._expand(
                    emit.address(lines, at.add(start, emit.const(p * width * FLOAT))), masks[0]
                )
                place = at.add(step, emit.const(self.shape.layout.y[p]))
                self._store_masked(at.fadd(value, added), place, masks[1])

    def _mask(self, bits: Any) -> Any:
        ir, at = self.emit.ir, self.emit.at
        narrow = at.trunc(bits, ir.IntType(self.lanes))
        return at.bitcast(narrow, self._mask_type())

    def _mask_type(self) -> Any:
        ir = self.emit.ir
        return ir.VectorType(ir.IntType(1), self.lanes)

    def _expand(self, source: Any, mask: Any) -> Any:
        bytes_, vector = self.emit.bytes, self.vector
        load = self._intrinsic("masked.expandload", vector, bytes_, self._mask_type(), vector)
        return self.emit.at.call(load, [source, mask, self._constant(0.0)])

    def _store_masked(self, value: Any, offset: Any, mask: Any) -> None:
        emit, at = self.emit, self.emit.at
        ir, i32 = emit.ir, emit.ir.IntType(32)
        kinds = (self.vector, emit.bytes, i32, self._mask_type())
        if self.shape.residual:
            load = self._masked("load", self.vector, emit.bytes, i32, self._mask_type(), self.vector)
            source = emit.address(self.residual, offset)
            value = at.fadd(
                value, at.call(load, [source, ir.Constant(i32, FLOAT), mask, self._constant(0.0)])
            )
        store = self._masked("store", ir.VoidType(), *kinds)
        at.call(store, [self._activate(value), emit.address(self.y, offset), ir.Constant(i32, FLOAT), mask])

    def _masked(self, what: str, *kinds: Any) -> Any:
        full = f"llvm.masked.{what}.v{self.lanes}f32.p0"
        ir = self.emit.ir
        return self.module.globals.get(full) or ir.Function(
            self.module, ir.FunctionType(kinds[0], kinds[1:]), full
        )
