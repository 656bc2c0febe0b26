"""A bottleneck in the GPU layouts from end to end: 1x1, 3x3 of stride 2, 1x1 plus a pruned downsample."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from kernels.gpu.feature_map import FeatureMap, chwn, shift_of, shifted
from kernels.layout import ConvGeometry, Pair
from kernels.precision import FP16
from kernels.testing import assert_close
from tests.kernels.cases import Case, conv, make
from tests.kernels.gpu.suite.layers import DEVICE, gathered, inside

REDUCE = Case(conv(32, 16, (1, 1)), tile=16)
SPATIAL = Case(conv(16, 16, stride=(2, 2)), tile=16)
DOWNSAMPLE = Case(conv(32, 64, (1, 1), stride=(2, 2)), activation="none")
EXPAND = Case(conv(16, 64, (1, 1)))
PLANE, HALF = (14, 13), (7, 7)


class Layer:
    """One layer of the chain with what it is compared with."""

    def __init__(self, case: Case) -> None:
        self.packed, self.epilogue, _, _ = make(case)
        self.product = gathered(FP16)(self.packed, self.epilogue)

    def check(self, y: Tensor, x: Tensor, residual: Tensor | None = None) -> None:
        packed, epilogue = self.packed, self.epilogue
        assert_close(y, packed=packed, x=x, epilogue=epilogue, residual=residual, precision=FP16)


@pytest.mark.parametrize("images", [8, 3])
def test_a_bottleneck_with_the_images_innermost(images: int) -> None:
    reduce, spatial, downsample, expand = map(Layer, (REDUCE, SPATIAL, DOWNSAMPLE, EXPAND))
    x, middle = plain(32, PLANE, images), plain(16, PLANE, images, halo=(1, 1))
    small, skipped, y = plain(16, HALF, images), plain(64, HALF, images), plain(64, HALF, images, halo=(1, 1))
    x.write(torch.randn(images, 32, *PLANE, device=DEVICE))
    for launch in (
        reduce.product.bind(x, middle),
        spatial.product.bind(middle, small),
        downsample.product.bind(x, skipped),
        expand.product.bind(small, y, skipped),
    ):
        launch()
    reduce.check(read(middle), read(x))
    spatial.check(read(small), read(middle))
    downsample.check(read(skipped), read(x))
    expand.check(read(y), read(small), read(skipped))
    inside(y).zero_()
    assert not y.buffer.count_nonzero()


@pytest.mark.parametrize("images", [1, 2])
def test_a_bottleneck_in_the_layout_for_few_images(images: int) -> None:
    """Each layer writes the copies that its readers want; the input serves two layers of other strides."""
    reduce, spatial, downsample, expand = map(Layer, (REDUCE, SPATIAL, DOWNSAMPLE, EXPAND))
    x, strided = copies(32, PLANE, images, REDUCE.geometry), copies(32, PLANE, images, DOWNSAMPLE.geometry)
    middle = copies(16, PLANE, images, SPATIAL.geometry)
    seen = copies(16, PLANE, images, EXPAND.geometry)
    small, skipped, y = (copies(c, HALF, images, EXPAND.geometry) for c in (16, 64, 64))
    given = torch.randn(images, 32, *PLANE, device=DEVICE)
    x.write(given)
    strided.write(given)
    for launch in (
        reduce.product.bind(x, None, expand=middle),
        reduce.product.bind(x, seen),
        spatial.product.bind(middle, small),
        downsample.product.bind(strided, skipped),
        expand.product.bind(small, y, skipped),
    ):
        launch()
    reduce.check(read(seen), read(x))
    spatial.check(read(small), read(seen))
    downsample.check(read(skipped), read(x))
    expand.check(read(y), read(small), read(skipped))


def plain(channels: int, plane: Pair, images: int, halo: Pair = (0, 0)) -> FeatureMap:
    return chwn(channels, plane, images, halo=halo, dtype=FP16.dtype, device=DEVICE)


def copies(channels: int, plane: Pair, images: int, reader: ConvGeometry) -> FeatureMap:
    shift, rows = shift_of(reader), reader.padding[0]
    return shifted(channels, plane, images, halo_rows=rows, shift=shift, dtype=FP16.dtype, device=DEVICE)


def read(feature_map: FeatureMap) -> Tensor:
    return feature_map.read().cpu()
