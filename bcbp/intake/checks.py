"""What a file claims of its tensors has to be possible, and what they hold has to be weights."""

from __future__ import annotations

import math

import numpy as np

from bcbp.errors import ModelError
from bcbp.intake.limits import ENTRIES, NAME_LENGTH, PARAMETERS
from bcbp.intake.tensors import DTYPES, Claim, Contents

_FLOATS = ("float16", "bfloat16", "float32", "float64")
_WEIGHTS = ("weight", "bias")


def check_claims(contents: Contents) -> None:
    """Raises ModelError before anything large is made of a claim."""
    claims = contents.claims
    if not claims:
        closed = f" {' '.join(contents.notes)}" if contents.notes else ""
        raise ModelError(
            f"Expected tensors by name; the file holds none.{closed} Save the model's state_dict."
        )
    if len(claims) > ENTRIES:
        raise ModelError(
            f"Expected at most {ENTRIES:,} tensors; got {len(claims):,}. Save the weights alone."
        )
    for name, claim in claims.items():
        _check_name(name)
        _check_shape(name, claim)
        _check_dtype(name, claim)
    total = sum(math.prod(claim.shape) for claim in claims.values())
    if total > PARAMETERS:
        raise ModelError(
            f"Expected at most {PARAMETERS / 1e6:.0f} million numbers; the tensors claim {total / 1e6:,.0f} "
            "million. Choose a smaller model."
        )
    if contents.storages:
        for name, claim in claims.items():
            _check_room(name, claim, contents.storages[claim.storage].size)


def _check_name(name: object) -> None:
    if not isinstance(name, str) or not name.isprintable() or not 0 < len(name) <= NAME_LENGTH:
        raise ModelError(
            f"Expected names of tensors of 1 to {NAME_LENGTH} printable characters; got {str(name)[:40]!r}. "
            "Save the model's state_dict again."
        )


def _check_shape(name: str, claim: Claim) -> None:
    numbers = (*_tuple(claim.shape), *_tuple(claim.strides), claim.offset)
    if (
        not all(type(number) is int and 0 <= number < 2**62 for number in numbers)
        or len(claim.shape) != len(claim.strides)
        or len(claim.shape) > 8
    ):
        raise ModelError(
            f"Expected the shape of a tensor; that of {name} makes no sense. Save the model again."
        )


def _tuple(value: object) -> tuple[object, ...]:
    return value if isinstance(value, tuple) else (None,)


def _check_dtype(name: str, claim: Claim) -> None:
    if claim.dtype not in DTYPES:
        raise ModelError(f"Expected float weights; {name} is of {claim.dtype}. Save the model in float32.")
    if claim.dtype.startswith("complex"):
        raise ModelError(f"Expected real weights; {name} is {claim.dtype}. Only real networks can be pruned.")
    if name.endswith(_WEIGHTS) and claim.dtype not in _FLOATS:
        raise ModelError(
            f"Expected float weights; {name} is {claim.dtype}, so the model is quantised. "
            "Upload the float model."
        )


def _check_room(name: str, claim: Claim, size: int) -> None:
    """A tensor has to lie inside its storage, and not to name an element twice."""
    count, available = math.prod(claim.shape), size // DTYPES[claim.dtype].itemsize
    steps = zip(claim.shape, claim.strides, strict=True)
    last = claim.offset + sum((length - 1) * stride for length, stride in steps)
    if count and (last >= available or count > available):
        raise ModelError(
            f"Expected tensors no larger than their data; {name} claims {count:,} numbers, of which the "
            f"file has {available:,}. It is damaged, or made to fill memory."
        )


def check_values(name: str, values: np.ndarray) -> None:
    """Raises ModelError for weights that are not numbers."""
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise ModelError(
            f"Expected finite weights; {name} holds NaN or infinity (in float32). "
            "Choose a checkpoint from before the training diverged."
        )
