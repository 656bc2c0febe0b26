"""How close a float32 engine must come to the exact product, with the derivation of the limit."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F

from kernels.engines import Epilogue
from kernels.pack import PackedTile, PackedWeight, unpack
from kernels.reference import activate

UNIT_ROUNDOFF = 2.0**-24  # float32, rounding to nearest
SMALLEST_NORMAL = 2.0**-126  # results below it may be flushed to zero


def assert_close(
    actual: Tensor, *, packed: PackedWeight, x: Tensor, epilogue: Epilogue, residual: Tensor | None = None
) -> None:
    """Raise AssertionError unless `actual` is a float32 evaluation of the layer at x.

    The exact y = W x + bias + residual is taken in float64. A float32 sum of n terms, in any order, with or
    without fused multiply-add, errs by at most g(n) * (|W| |x| + |bias| + |residual|) with g(n) = n u / (1 -
    n u), u = 2^-24 (Higham, Accuracy and Stability of Numerical Algorithms, section 3.1); n counts a
    column's kept weights, bias and residual, products included. Activations are 1-Lipschitz and add nothing.
    That is the limit of each element. Roundings hardly ever conspire: with independent ones sqrt(n) stands
    for n (Higham and Mary 2019), and so the root mean square error may not exceed sqrt(n) u times the root
    mean square of the same magnitudes.
    """
    exact = layer(packed, epilogue, x, residual)
    magnitude = layer(*_absolute(packed, epilogue), x.abs(), None if residual is None else residual.abs())
    terms = max(len(tile.columns) for tile in packed.tiles) + 2
    worst = terms * UNIT_ROUNDOFF / (1 - terms * UNIT_ROUNDOFF)
    error = (actual.double() - exact).abs()
    excess = error - (worst * magnitude + SMALLEST_NORMAL)
    if not bool((excess <= 0).all()):  # a NaN fails too
        place = int(excess.nan_to_num(nan=torch.inf).argmax())
        raise AssertionError(
            f"element {place} of {tuple(actual.shape)}: expected {exact.flatten()[place]:.9g}, got "
            f"{actual.flatten()[place]:.9g}; the limit is {(worst * magnitude).flatten()[place]:.3g}"
        )
    typical = terms**0.5 * UNIT_ROUNDOFF * _rms(magnitude) + SMALLEST_NORMAL
    if _rms(error) > typical:
        raise AssertionError(f"root mean square error {_rms(error):.3g} exceeds {typical:.3g}")


def layer(packed: PackedWeight, epilogue: Epilogue, x: Tensor, residual: Tensor | None) -> Tensor:
    """The layer in float64."""
    geometry, bias = packed.geometry, epilogue.bias
    y = F.conv2d(
        x.double(),
        unpack(packed).double().view(geometry.weight_shape),
        None if bias is None else bias.double(),
        stride=geometry.stride,
        padding=geometry.padding,
        dilation=geometry.dilation,
        groups=geometry.groups,
    )
    return activate(y if residual is None else y + residual.double(), epilogue.activation)


def _absolute(packed: PackedWeight, epilogue: Epilogue) -> tuple[PackedWeight, Epilogue]:
    tiles = tuple(PackedTile(tile.rows, tile.columns, tile.values.abs()) for tile in packed.tiles)
    bias = None if epilogue.bias is None else epilogue.bias.abs()
    return replace(packed, tiles=tiles), Epilogue(bias)


def _rms(values: Tensor) -> float:
    return float(values.double().square().mean().sqrt())
