"""The initialisers of an ONNX model, names, types and shapes, straight from its wire format.

Protocol buffers are pairs of a field number and a value; five fields are all that is needed. No graph is
built, no file beside it is opened, nothing is run. Field numbers: onnx.proto of the ONNX project, version 1.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bcbp.intake.tensors import Claim, Contents, contiguous

_GRAPH, _INITIALIZER = 7, 5  # of ModelProto, of GraphProto
_DIMS, _TYPE, _NAME = 1, 2, 8  # of TensorProto
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_DTYPES = dict(
    enumerate(
        (
            *("float32", "uint8", "int8", "uint16", "int16", "int32", "int64", "string", "bool", "float16"),
            *("float64", "uint32", "uint64", "complex64", "complex128", "bfloat16"),
        ),
        start=1,
    )
)
_NOTE = (
    "ONNX is only looked at. To prune the model, save the state_dict of the PyTorch model it was made from."
)


def read_onnx(path: Path) -> Contents:
    """Claims without storages."""
    claims: dict[str, Claim] = {}
    for number, graph in fields(memoryview(path.read_bytes())):
        if number == _GRAPH and isinstance(graph, memoryview):
            for part, tensor in fields(graph):
                if part == _INITIALIZER and isinstance(tensor, memoryview):
                    name, claim = _initializer(tensor)
                    claims[name] = claim
    return Contents(claims, {}, (_NOTE,))


def _initializer(tensor: memoryview) -> tuple[str, Claim]:
    name, dtype, shape = "", "", []
    for number, value in fields(tensor):
        if number == _DIMS:
            shape += [value] if isinstance(value, int) else list(_varints(value))
        elif number == _TYPE and isinstance(value, int):
            dtype = _DTYPES.get(value, f"type {value}")
        elif number == _NAME and isinstance(value, memoryview):
            name = bytes(value).decode()
    return name, contiguous("", dtype, tuple(shape))


def fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Field numbers and values of one message, none of them copied. Raises EOFError where it breaks off.

    >>> list(fields(memoryview(bytes([8, 150, 1]))))
    [(1, 150)]
    """
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        number, wire = tag >> 3, tag & 7
        if wire == _VARINT:
            value, at = _varint(message, at)
            yield number, value
            continue
        if wire not in (_FIXED64, _BYTES, _FIXED32):
            raise EOFError(f"a field of wire type {wire}")
        size, at = _varint(message, at) if wire == _BYTES else ({_FIXED64: 8, _FIXED32: 4}[wire], at)
        if size > len(message) - at:
            raise EOFError("a field longer than what holds it")
        yield number, message[at : at + size]
        at += size


def _varints(packed: memoryview) -> Iterator[int]:
    at = 0
    while at < len(packed):
        value, at = _varint(packed, at)
        yield value


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """A number in groups of seven bits, the lowest first, and where it ends."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(message):
            raise EOFError("a number that breaks off")
        value |= (message[at] & 0x7F) << shift
        at += 1
        if message[at - 1] < 0x80:
            return value, at
    raise EOFError("a number without end")
