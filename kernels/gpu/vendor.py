"""The library's own convolution between feature maps: cuDNN or cuBLAS on the dense weight, zeros included.

It multiplies what was pruned, in a layout of its own, and so pays for a conversion on either side; where it
is still the fastest, the layer runs on it. It takes every layer, grouped ones too.

Example: a 1x1 layer without stride needs no conversion, its maps are already the matrix [C, H * W * images].
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from kernels.engines import Epilogue
from kernels.gpu.checks import check_maps
from kernels.gpu.feature_map import PLAIN, FeatureMap
from kernels.layout import ConvGeometry
from kernels.pack import PackedWeight, unpack
from kernels.precision import Precision, torch_products

# What is rounded to the stored type on the way: bias, product, with bias, with residual, activated.
MOST_STORES = 5
# In-place forms of kernels.engines.ACTIVATIONS, where torch has one.
_IN_PLACE: dict[str, Callable[[Tensor], Tensor]] = {
    "none": lambda y: y,
    "relu": torch.relu_,
    "relu6": lambda y: y.clamp_(0, 6),
    "silu": lambda y: F.silu(y, inplace=True),
    "gelu": F.gelu,
}


class VendorConv:
    """Any convolution for feature maps in either layout, by the library's calls one after the other."""

    def __init__(
        self, packed: PackedWeight, epilogue: Epilogue, *, precision: Precision, device: torch.device | str
    ) -> None:
        self.geometry, self.precision, self.activation = packed.geometry, precision, epilogue.activation
        weight = unpack(packed).view(packed.geometry.weight_shape)
        self._weight = weight.to(device, precision.dtype)
        bias = epilogue.bias
        self._bias = None if bias is None else bias.detach().to(device, precision.dtype)

    def bind(
        self,
        x: FeatureMap,
        y: FeatureMap | None,
        residual: FeatureMap | None = None,
        *,
        expand: FeatureMap | None = None,
    ) -> Callable[[], None]:
        """The calls for these maps, fit for a CUDA graph. Raises ValueError where the maps do not fit.

        Intermediate results are allocated by torch while it runs; a graph keeps them in its own pool.
        """
        check_maps(self.geometry, self.precision, x, y, residual, expand)
        x.reading_grid(self.geometry)
        if y is not None and expand is None and self._is_product(x, y, residual):
            return self._product(x, y, residual)
        return self._convolution(x, residual, [target for target in (y, expand) if target is not None])

    def _is_product(self, x: FeatureMap, y: FeatureMap, residual: FeatureMap | None) -> bool:
        g = self.geometry
        plain = (g.kernel, g.stride, g.padding, g.groups) == ((1, 1), (1, 1), (0, 0), 1)
        maps = [x, y] if residual is None else [x, y, residual]
        return plain and all(one.halo == (0, 0) and one.shift in (None, PLAIN) for one in maps)

    def _product(self, x: FeatureMap, y: FeatureMap, residual: FeatureMap | None) -> Callable[[], None]:
        """One matrix product on the maps as they lie, whatever is innermost."""
        weight = self._weight.flatten(1)
        source, target = x.matrix(), y.matrix()
        bias = None if self._bias is None else self._bias[:, None]
        added = None if residual is None else residual.matrix()

        def run() -> None:
            with torch_products(self.precision):
                torch.mm(weight, source, out=target)
            self._finish(target, bias, added, target)

        return run

    def _convolution(
        self, x: FeatureMap, residual: FeatureMap | None, targets: list[FeatureMap]
    ) -> Callable[[], None]:
        """A convolution in channels_last, with a copy in and a copy out."""
        source = images_of(x)
        weight, geometry = self._weight, self.geometry
        if x.shift is not None:
            weight, geometry = by_kernel_columns(weight, geometry)
        weight = weight.contiguous(memory_format=torch.channels_last)
        held = torch.empty(
            (source.shape[0], geometry.in_channels, *source.shape[3:]), dtype=x.dtype, device=x.device
        ).contiguous(memory_format=torch.channels_last)
        inside = held.view(source.shape)
        bias = None if self._bias is None else self._bias[:, None, None]
        added = None if residual is None else residual.nchw()

        def run() -> None:
            inside.copy_(source)
            with torch_products(self.precision):
                y = convolve(held, weight, geometry)
            y = self._finish(y, bias, added)
            for target in targets:
                target.write(y)

        return run

    def _finish(
        self, y: Tensor, bias: Tensor | None, added: Tensor | None, target: Tensor | None = None
    ) -> Tensor:
        """Bias, residual and activation, in place; into `target` where the activation makes a new tensor."""
        for term in (bias, added):
            if term is not None:
                y.add_(term)
        result = _IN_PLACE[self.activation](y)
        if target is not None and result is not target:
            target.copy_(result)
        return result


def convolve(x: Tensor, weight: Tensor, geometry: ConvGeometry) -> Tensor:
    """conv2d without a bias."""
    g = geometry
    return F.conv2d(x, weight, None, g.stride, g.padding, g.dilation, g.groups)


def images_of(x: FeatureMap) -> Tensor:
    """A view [N, C, copies, H, W] of what a layer reads: one copy in CHWN, else one per kernel column."""
    if x.shift is None:
        return x.nchw()[:, :, None]
    top, columns = x.halo[0], x.shift.positions(x.width)
    return x.buffer[:, :, :, top : top + x.height, :columns].permute(2, 1, 0, 3, 4)


def by_kernel_columns(weight: Tensor, geometry: ConvGeometry) -> tuple[Tensor, ConvGeometry]:
    """The same layer for shifted copies: each kernel column reads a channel of its own, one column wide."""
    rows, columns = geometry.kernel
    moved = weight.permute(0, 1, 3, 2).reshape(len(weight), -1, rows, 1)
    return moved, ConvGeometry(
        geometry.in_channels * columns,
        geometry.out_channels,
        (rows, 1),
        (geometry.stride[0], 1),
        (geometry.padding[0], 0),
        (geometry.dilation[0], 1),
        geometry.groups,
    )
