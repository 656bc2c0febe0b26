"""The few words of LLVM IR that the CPU engine's generators are written in."""

from __future__ import annotations

from typing import Any

from kernels.cpu.blocks import FLOAT


class Emitter:
    """What llvmlite spells at length: typed loads at byte offsets, constants, counted loops."""

    def __init__(self, function: Any) -> None:
        from llvmlite import ir

        self.ir = ir
        self.function = function
        self.i64 = ir.IntType(64)
        self.bytes = ir.IntType(8).as_pointer()
        self.at = ir.IRBuilder(function.append_basic_block("entry"))

    def const(self, value: int) -> Any:
        return self.ir.Constant(self.i64, value)

    def address(self, base: Any, offset: Any) -> Any:
        """`base` plus `offset` bytes (an int or an i64)."""
        return self.at.gep(base, [self.const(offset) if isinstance(offset, int) else offset])

    def load(self, kind: Any, base: Any, offset: Any) -> Any:
        """A value of type `kind`, aligned to 4 bytes, at `base` + `offset`."""
        loaded = self.at.load(self.at.bitcast(self.address(base, offset), kind.as_pointer()))
        loaded.align = FLOAT
        return loaded

    def field(self, record: Any, fields: tuple[str, ...], name: str) -> Any:
        """The i64 field `name` of a record whose fields are 8 bytes each."""
        return self.load(self.i64, record, 8 * fields.index(name))

    def pointer(self, integer: Any) -> Any:
        return self.at.inttoptr(integer, self.bytes)

    def int32(self, base: Any, index: Any) -> Any:
        """Element `index` of an int32 array, as i64."""
        value = self.load(self.ir.IntType(32), base, self.at.shl(index, self.const(2)))
        return self.at.sext(value, self.i64)

    def block(self, name: str) -> Any:
        return self.function.append_basic_block(name)

    def loop(self, first: Any, end: Any) -> _Loop:
        """`with emitter.loop(first, end) as index:` runs the body for index = first ... end - 1."""
        return _Loop(self, first, end)


class _Loop:
    def __init__(self, emitter: Emitter, first: Any, end: Any) -> None:
        self._emit, self._first, self._limit = emitter, first, end

    def __enter__(self) -> Any:
        emit = self._emit
        before = emit.at.block
        self._head, body, self._after = emit.block("head"), emit.block("body"), emit.block("after")
        emit.at.branch(self._head)
        emit.at.position_at_end(self._head)
        self._index = emit.at.phi(emit.i64)
        self._index.add_incoming(self._first, before)
        emit.at.cbranch(emit.at.icmp_signed("<", self._index, self._limit), body, self._after)
        emit.at.position_at_end(body)
        return self._index

    def __exit__(self, *_: object) -> None:
        emit = self._emit
        following = emit.at.add(self._index, emit.const(1))
        self._index.add_incoming(following, emit.at.block)
        emit.at.branch(self._head)
        emit.at.position_at_end(self._after)
