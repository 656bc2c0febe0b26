"""Run one layer on feature maps, with every check that does not depend on the layer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

import torch
from torch import Tensor

from kernels.engines import Epilogue
from kernels.gpu.engine import interpreted
from kernels.gpu.feature_map import CHWN, FeatureMap, chwn, shift_of, shifted
from kernels.gpu.gemm import GatheredGemm
from kernels.gpu.launch import LaunchConfig
from kernels.layout import ConvGeometry, Pair
from kernels.pack import PackedWeight
from kernels.precision import Precision
from kernels.testing import assert_close
from tests.kernels.cases import Case, make

DEVICE = "cpu" if interpreted() else "cuda"
SMALL = LaunchConfig(width=32, block_m=32, block_n=64, block_k=16)
# What padding images and columns may hold: anything finite, and nothing that would pass unseen.
_BEYOND = 1000.0


def rounding(precision: Precision) -> Precision:
    """`precision` as this device rounds: Triton's interpreter cuts float32 off where it stores bfloat16."""
    if interpreted() and precision.dtype == torch.bfloat16:
        return replace(precision, roundoff=2 * precision.roundoff)
    return precision


class Product(Protocol):
    """A layer of kernels.gpu that can be bound to feature maps."""

    geometry: ConvGeometry
    precision: Precision

    def bind(
        self, x: FeatureMap, y: FeatureMap, residual: FeatureMap | None = None
    ) -> Callable[[], None]: ...


def read_by(geometry: ConvGeometry, x: Tensor, layout: str, precision: Precision) -> FeatureMap:
    """x [N, C, H, W] as the layer reads it, with a halo one larger than it needs in CHWN."""
    plane, images, channels = (x.shape[2], x.shape[3]), x.shape[0], x.shape[1]
    if layout == CHWN:
        halo = (geometry.padding[0] + 1, geometry.padding[1] + 1)
        source = chwn(channels, plane, images, halo=halo, dtype=precision.dtype, device=DEVICE)
        inside(source)[..., images:] = _BEYOND
    else:
        shift = shift_of(geometry)
        source = shifted(
            channels,
            plane,
            images,
            halo_rows=geometry.padding[0] + 1,
            shift=shift,
            dtype=precision.dtype,
            device=DEVICE,
        )
        inside(source)[..., shift.positions(plane[1]) :] = _BEYOND
    source.write(x.to(DEVICE, precision.dtype))
    return source


def blank(channels: int, plane: Pair, images: int, layout: str, precision: Precision) -> FeatureMap:
    """A plain map with a halo of one, to write to."""
    if layout == CHWN:
        return chwn(channels, plane, images, halo=(1, 1), dtype=precision.dtype, device=DEVICE)
    return shifted(channels, plane, images, halo_rows=1, dtype=precision.dtype, device=DEVICE)


def inside(feature_map: FeatureMap) -> Tensor:
    """What is not halo: a view of the buffer."""
    top, left = feature_map.halo
    rows = slice(top, top + feature_map.height)
    if feature_map.kind == CHWN:
        return feature_map.buffer[:, rows, left : left + feature_map.width]
    return feature_map.buffer[:, :, :, rows]


def run(launch: Callable[[], None], y: FeatureMap) -> Tensor:
    """[N, M, Ho, Wo] that `launch` writes: everywhere, nothing but the interior, and twice the same."""
    results = []
    for _ in range(2):
        inside(y).fill_(torch.nan)
        launch()
        results.append(y.read().cpu())
    assert torch.equal(*results) or results[0].isnan().any(), "a second run differs"
    inside(y).zero_()
    assert not y.buffer.count_nonzero(), "the halo was written to"
    return results[0]


def compute(product: Product, x: Tensor, residual: Tensor | None = None, layout: str = CHWN) -> Tensor:
    """The layer at x [N, C, H, W], as `run` has it."""
    geometry, precision = product.geometry, product.precision
    plane, images = geometry.output_size(x.shape[2], x.shape[3]), len(x)
    y = blank(geometry.rows, plane, images, layout, precision)
    added = None
    if residual is not None:
        added = blank(geometry.rows, plane, images, layout, precision)
        added.write(residual.to(DEVICE, precision.dtype))
    return run(product.bind(read_by(geometry, x, layout, precision), y, added), y)


def assert_computes(
    case: Case,
    build: Callable[[PackedWeight, Epilogue], Product],
    layout: str = CHWN,
    seed: int = 0,
) -> None:
    """Build the case's layer, run it in `layout` and compare it with float64."""
    packed, epilogue, x, residual = make(case, seed)
    product = build(packed, epilogue)
    y = compute(product, x, residual, layout)
    assert_close(
        y, packed=packed, x=x, epilogue=epilogue, residual=residual, precision=rounding(product.precision)
    )


def gathered(
    precision: Precision, config: LaunchConfig = SMALL, order: str = "given"
) -> Callable[[PackedWeight, Epilogue], GatheredGemm]:
    """How to build a gathered product on the device at hand."""

    def build(packed: PackedWeight, epilogue: Epilogue) -> GatheredGemm:
        return GatheredGemm(packed, epilogue, config=config, precision=precision, device=DEVICE, order=order)

    return build
