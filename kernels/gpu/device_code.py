"""Device functions that the Triton kernels share: where a position lies, and what follows the sum."""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def positions(j, limit, inner, innermost, unit: tl.constexpr):
    """(outer, inner, innermost) index of positions `j` of a grid, and which lie inside it.

    `limit` and `innermost` count units, so that the mask is provably constant over 16 bytes and the loads
    stay whole. Positions beyond the end get the outer index 0, where reading is harmless.
    """
    valid = j < limit * unit
    values = innermost * unit
    i = j % values
    plane = j // values
    return tl.where(valid, plane // inner, 0), plane % inner, i, valid


@triton.jit
def factors(values, DOT: tl.constexpr):
    """`values` [columns, positions] on their way into a product, still copied from memory in whole units.

    From compute capability 9.0 on the tensor cores want float32 with the columns innermost. Left to itself,
    Triton turns the tile round while it copies, 4 bytes at a time; an addition in between makes it copy whole
    units first and turn the tile round on the chip.
    """
    if DOT == "tf32":
        values = values + 0.0
    return values


@triton.jit
def activated(v, ACTIVATION: tl.constexpr):
    """The activation of that name, in float32."""
    if ACTIVATION == "relu":
        v = tl.maximum(v, 0.0)
    elif ACTIVATION == "relu6":
        v = tl.minimum(tl.maximum(v, 0.0), 6.0)
    elif ACTIVATION == "silu":
        v = v * tl.sigmoid(v)
    elif ACTIVATION == "gelu":
        v = 0.5 * v * (1.0 + tl.erf(v * 0.7071067811865476))
    return v
