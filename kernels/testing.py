"""How close an engine must come to the exact product, with the derivation of the limit."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F

from kernels.engines import Epilogue
from kernels.pack import PackedTile, PackedWeight, unpack
from kernels.precision import FP32, Precision
from kernels.reference import activate

UNIT_ROUNDOFF = 2.0**-24  # of float32, in which every engine sums; rounding to nearest
# How far an activation may move its result when its argument moves by 1 ...
_STEEPEST = {"none": 1.0, "relu": 1.0, "relu6": 1.0, "silu": 1.1, "gelu": 1.13}
# ... and the roundings its own evaluation adds (an exponential or error function is right to a few units).
_EVALUATION = {"none": 0, "relu": 0, "relu6": 0, "silu": 16, "gelu": 16}


def assert_close(
    actual: Tensor,
    *,
    packed: PackedWeight,
    x: Tensor,
    epilogue: Epilogue,
    residual: Tensor | None = None,
    precision: Precision = FP32,
    stores: int = 1,
) -> None:
    """Raise AssertionError unless `actual` is an evaluation of the layer at x in `precision`.

    The exact y = W x + bias + residual is taken in float64 from W and x as they are stored in that precision.
    A float32 sum of n terms, in any order, with or without fused multiply-add, errs by at most g(n) * (|W|
    |x| + |bias| + |residual|) with g(n) = n u / (1 - n u), u = 2^-24 (Higham, Accuracy and Stability of
    Numerical Algorithms, section 3.1); n counts a column's kept weights, bias and residual, products
    included. Factors rounded on the way in (tf32) add 2 p + p^2 of |W| |x|; storing the result adds its
    type's roundoff of it. A library that adds bias and residual in calls of their own stores the sum `stores`
    times, each at most a roundoff of the magnitude. An activation enlarges an error at most by its steepest
    slope. That is the limit of each element. Roundings hardly ever conspire: with independent ones sqrt(n)
    stands for n (Higham and Mary 2019), and so the root mean square error may not exceed the same sum of
    squares.
    """
    packed = _stored(packed, precision)
    x, residual = x.to(precision.dtype), None if residual is None else residual.to(precision.dtype)
    exact = layer(packed, epilogue, x, residual)
    magnitude = layer(*_absolute(packed, epilogue), x.abs(), None if residual is None else residual.abs())
    terms = max(len(tile.columns) for tile in packed.tiles) + 2
    factors = 2 * precision.product_roundoff + precision.product_roundoff**2
    stored = precision.roundoff if precision.roundoff > UNIT_ROUNDOFF else 0.0
    slope, own = _STEEPEST[epilogue.activation], _EVALUATION[epilogue.activation] * UNIT_ROUNDOFF
    factors += (stores - 1) * stored
    worst = slope * (terms * UNIT_ROUNDOFF / (1 - terms * UNIT_ROUNDOFF) + factors) + own
    smallest = float(torch.finfo(precision.dtype).tiny)  # results below it may be flushed to zero
    limit = worst * magnitude + stored * (exact.abs() + worst * magnitude) + smallest
    error = (actual.double() - exact).abs()
    if not bool((error <= limit).all()):  # a NaN fails too
        place = int((error - limit).nan_to_num(nan=torch.inf).argmax())
        raise AssertionError(
            f"element {place} of {tuple(actual.shape)}: expected {exact.flatten()[place]:.9g}, got "
            f"{actual.flatten()[place]:.9g}; the limit is {limit.flatten()[place]:.3g}"
        )
    summed = (slope * (terms**0.5 * UNIT_ROUNDOFF + factors) + own) * _rms(magnitude)
    typical = summed + stored * _rms(exact) + smallest
    if _rms(error) > typical:
        raise AssertionError(f"root mean square error {_rms(error):.3g} exceeds {typical:.3g}")


def network_tolerance(layers: int, columns: int, precision: Precision) -> float:
    """How far the output of a network of so many layers may be off, as a share of its root mean square.

    Each layer adds the roundings of its stored weights and results, of the factors of its products, and of
    float32 sums of up to `columns` terms, which grow as the square root of their number. They
    are independent of those of other layers, so they add up as the square root of the depth; a layer passes
    on earlier ones about as it passes on its input. 4 times that is allowed for sums that cancel. A column
    read wrongly, or a lost epilogue, is off by as much as the output is large.
    """
    each = 2 * precision.roundoff + 2 * precision.product_roundoff + columns**0.5 * UNIT_ROUNDOFF
    return 4 * max(layers, 1) ** 0.5 * each


def layer(packed: PackedWeight, epilogue: Epilogue, x: Tensor, residual: Tensor | None) -> Tensor:
    """The layer in float64."""
    geometry, bias = packed.geometry, epilogue.bias
    y = F.conv2d(
        x.double(),
        unpack(packed).double().view(geometry.weight_shape).to(x.device),
        None if bias is None else bias.double().to(x.device),
        stride=geometry.stride,
        padding=geometry.padding,
        dilation=geometry.dilation,
        groups=geometry.groups,
    )
    return activate(y if residual is None else y + residual.double(), epilogue.activation)


def _stored(packed: PackedWeight, precision: Precision) -> PackedWeight:
    tiles = tuple(
        PackedTile(tile.rows, tile.columns, tile.values.to(precision.dtype)) for tile in packed.tiles
    )
    return replace(packed, tiles=tiles)


def _absolute(packed: PackedWeight, epilogue: Epilogue) -> tuple[PackedWeight, Epilogue]:
    tiles = tuple(PackedTile(tile.rows, tile.columns, tile.values.abs()) for tile in packed.tiles)
    bias = None if epilogue.bias is None else epilogue.bias.abs()
    return replace(packed, tiles=tiles), Epilogue(bias)


def _rms(values: Tensor) -> float:
    return float(values.double().square().mean().sqrt())
