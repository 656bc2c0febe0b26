"""What a file claims of its tensors, before a byte of them is read, and how claims become arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

BFLOAT16 = "bfloat16"
# By the names that torch gives them. NumPy has no bfloat16: its bits are the upper half of a float32.
DTYPES: dict[str, np.dtype] = {
    name: np.dtype(name)
    for name in (
        *("float16", "float32", "float64", "complex64", "complex128", "bool"),
        *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
    )
} | {BFLOAT16: np.dtype("uint16")}


@dataclass(frozen=True)
class Claim:
    """A view of a storage: `shape` and `strides` in elements of `dtype`, from element `offset` on.

    Whatever the file said is in here unchecked, of whatever type.
    """

    storage: str
    dtype: str
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int = 0


@dataclass(frozen=True)
class Storage:
    """Bytes in the file: how many, and how to get them."""

    size: int
    read: Callable[[], bytes]


@dataclass(frozen=True)
class Contents:
    """What a reader found: tensors by name, the storages they lie in, and what a person should know.

    Without storages there is nothing to read: the file is only looked at. `header` is what it says of itself.
    """

    claims: Mapping[str, Claim]
    storages: Mapping[str, Storage]
    notes: tuple[str, ...] = ()
    header: Mapping[str, str] = field(default_factory=dict)


def contiguous(storage: str, dtype: str, shape: tuple[int, ...]) -> Claim:
    """The claim to a whole storage, row by row.

    >>> contiguous("0", "float32", (2, 3)).strides
    (3, 1)
    """
    strides, step = [], 1
    for size in reversed(shape):
        strides.append(step)
        step *= size
    return Claim(storage, dtype, tuple(shape), tuple(reversed(strides)))


def array_of(claim: Claim, data: bytes) -> np.ndarray:
    """The tensor of a checked claim, C-contiguous; floating-point numbers become float32."""
    flat = np.frombuffer(data, DTYPES[claim.dtype], len(data) // DTYPES[claim.dtype].itemsize)
    steps = [stride * flat.itemsize for stride in claim.strides]
    view = np.lib.stride_tricks.as_strided(flat[claim.offset :], claim.shape, steps, writeable=False)
    if claim.dtype == BFLOAT16:
        return (view.astype(np.uint32) << 16).view(np.float32)
    return np.ascontiguousarray(view, np.float32 if view.dtype.kind == "f" else None).reshape(claim.shape)
