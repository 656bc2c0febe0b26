"""Reads pickles without running anything that they name.

A pickle is a program: it names functions and has them called. Here every name leads to one of a handful of
our own that only keep their arguments, or to `Opaque`, which does nothing.
"""

from __future__ import annotations

import pickle
import pickletools
from collections import OrderedDict
from typing import Any, BinaryIO

from bcbp.errors import ModelError
from bcbp.intake.limits import OPCODES
from bcbp.intake.tensors import Claim

_STORAGES = {
    f"{name}Storage": dtype
    for name, dtype in (
        *(("Half", "float16"), ("BFloat16", "bfloat16"), ("Float", "float32"), ("Double", "float64")),
        *(("Char", "int8"), ("Short", "int16"), ("Int", "int32"), ("Long", "int64"), ("Byte", "uint8")),
        *(("Bool", "bool"), ("ComplexFloat", "complex64"), ("ComplexDouble", "complex128")),
    )
}


class Opaque:
    """Stands for an object of any class, and for what any function would have given: it only keeps state."""

    named = ""
    state: dict[Any, Any]

    def __new__(cls, *_args: object, **_kwargs: object) -> Opaque:
        made = object.__new__(cls)
        made.state = {}
        return made

    def __init__(self, *_args: object, **_kwargs: object) -> None:
        pass

    def __call__(self, *_args: object, **_kwargs: object) -> Opaque:
        return Opaque()

    def __setstate__(self, state: object) -> None:
        for part in state if isinstance(state, tuple) else (state,):  # (dict, slots) where a class has slots
            if isinstance(part, dict):
                self.state.update(part)

    def __setitem__(self, key: object, value: object) -> None:
        self.state[key] = value

    def append(self, _item: object) -> None:
        pass

    extend = add = append


class StorageTag:
    """Stands for a class of torch's storages; not callable."""

    def __init__(self, dtype: str) -> None:
        self.dtype = dtype


class StorageRef:
    """A storage that a pickle points to."""

    def __init__(self, key: str, dtype: str) -> None:
        self.key, self.dtype = key, dtype


def _tensor(storage: object, offset: Any, shape: Any, strides: Any, *_rest: object) -> Claim:
    if not isinstance(storage, StorageRef):
        raise pickle.UnpicklingError("a tensor without a storage")
    return Claim(storage.key, storage.dtype, shape, strides, offset)


def _parameter(data: object, *_rest: object) -> object:
    return data


# All that a name can lead to. Nothing here touches anything but its arguments.
_KNOWN: dict[tuple[str, str], Any] = {
    ("torch._utils", "_rebuild_tensor"): _tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_parameter"): _parameter,
    ("torch._utils", "_rebuild_parameter_with_state"): _parameter,
    ("collections", "OrderedDict"): OrderedDict,
    ("builtins", "set"): set,
    ("__builtin__", "set"): set,
} | {("torch", name): StorageTag(dtype) for name, dtype in _STORAGES.items()}


class InertUnpickler(pickle.Unpickler):
    """`names` are the classes and functions that the file wanted and did not get; `storages` what it uses."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file, encoding="utf-8", errors="replace")
        self._made: dict[str, type[Opaque]] = {}
        self.storages: dict[str, tuple[str, int]] = {}

    @property
    def names(self) -> list[str]:
        return list(self._made)

    def find_class(self, module: str, name: str) -> Any:
        known = _KNOWN.get((module, name))
        if known is not None:
            return known
        named = f"{module}.{name}"
        return self._made.setdefault(named, type("Opaque", (Opaque,), {"named": named}))

    def persistent_load(self, pid: Any) -> StorageRef:
        """("storage", class, key, device, elements, ...), as torch points to storages."""
        if not (isinstance(pid, tuple) and len(pid) >= 5 and pid[0] == "storage"):
            raise pickle.UnpicklingError("a pointer to something else than a storage")
        tag, key, elements = pid[1], pid[2], pid[4]
        if not isinstance(tag, StorageTag) or not isinstance(key, str) or type(elements) is not int:
            raise ModelError(
                "Expected tensors of plain number types; the file holds others (quantised or float8?). "
                "Save float weights."
            )
        self.storages[key] = (tag.dtype, elements)
        return StorageRef(key, tag.dtype)


def read_pickle(file: BinaryIO) -> tuple[Any, InertUnpickler]:
    """The next pickle in `file` as plain containers, Claims and Opaques, with the reader that read it.

    Raises ModelError for one of too many steps, and whatever a damaged one makes of pickle.
    """
    start = file.tell()
    _check_length(file)
    file.seek(start)
    reader = InertUnpickler(file)
    return reader.load(), reader


def _check_length(file: BinaryIO) -> None:
    """No more steps than OPCODES, and no memo index beyond what they could fill: pickle makes room for it."""
    for count, (opcode, argument, _) in enumerate(pickletools.genops(file)):
        if count > OPCODES or ("PUT" in opcode.name and int(argument or 0) > OPCODES):
            raise ModelError(
                f"Expected at most {OPCODES:,} steps to rebuild the file's objects; it has more. "
                "Save the model's state_dict alone."
            )
