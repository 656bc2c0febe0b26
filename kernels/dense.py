"""The best dense convolution of one layer on CPU: oneDNN with prepacked weights and a fused epilogue.

torch's plain call re-packs the weight on every run, up to 2.2 times slower on late layers at batch 1 (2-core
AVX-512 machine, fp32): a speed-up over it would flatter. The prepacked form is what torch.compile itself
calls; it is private, so where it is missing the plain call runs and `note` says so.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from kernels.engines import Epilogue
from kernels.layout import Pair
from kernels.pack import PackedWeight, unpack
from kernels.reference import activate

# How an activation is spelled to oneDNN: (name, scalars).
_POINTWISE: dict[str, tuple[str, list[float]]] = {
    "none": ("none", []),
    "relu": ("relu", []),
    "relu6": ("hardtanh", [0.0, 6.0]),
}


# One image through a Linear layer: 2 us as a product and 31 as a convolution for 10 x 256 weights, 19 and
# 47 for 1000 x 512; but 1.9 ms and 1.4 for 4096 x 4096, read from memory (fp32, two AVX-512 cores,
# torch 2.15). For 8 or 32 images the product was 2 to 8 times faster in all of them. 4 MiB lie between.
STREAMED_BYTES = 4 << 20


class DenseEngine:
    """Multiplies by every weight, zero or not, as fast as the vendor library can."""

    name = "dense"
    title = "oneDNN, prepacked, channels_last"
    speed_claim = True
    activations = tuple(_POINTWISE)

    def available(self) -> str | None:
        return None

    def supports(self, packed: PackedWeight, dtype: torch.dtype) -> str | None:
        return None if dtype == torch.float32 else f"expected float32, got {dtype}"

    def build(self, packed: PackedWeight, epilogue: Epilogue) -> DenseOperator:
        return DenseOperator(packed, epilogue)


class DenseOperator:
    """A dense layer: x [N, C, H, W] (channels_last) to y [N, M, Ho, Wo]; `note` says which call runs it.

    Weights are packed for each input shape on its first call.
    """

    def __init__(self, packed: PackedWeight, epilogue: Epilogue) -> None:
        self.geometry, self.epilogue = packed.geometry, epilogue
        weight = unpack(packed).view(packed.geometry.weight_shape).float()
        self._weight = weight.contiguous(memory_format=torch.channels_last)
        missing = missing_reason()
        self.prepacked = missing is None
        self.note = (
            "oneDNN, prepacked weight, fused epilogue" if missing is None else f"plain conv2d: {missing}"
        )
        self._packed: dict[torch.Size, Tensor] = {}

    def __call__(self, x: Tensor, residual: Tensor | None = None) -> Tensor:
        x = as_channels_last(x)
        if self._is_product(x):
            return self._product(x, residual)
        if not self.prepacked:
            return self._plain(x, residual)
        weight = self._packed.get(x.shape)
        if weight is None:
            weight = self._packed[x.shape] = self._prepack(x.shape)
        return self._fused(x, weight, residual)

    def _is_product(self, x: Tensor) -> bool:
        """Whether the layer is better run as torch's matrix product: a Linear layer, as it arrives here."""
        g = self.geometry
        pointwise = g.kernel == (1, 1) and g.padding == (0, 0) and g.groups == 1 and x.shape[2:] == (1, 1)
        return pointwise and (len(x) > 1 or self._weight.nbytes <= STREAMED_BYTES)

    def _product(self, x: Tensor, residual: Tensor | None) -> Tensor:
        y = F.linear(x.flatten(1), self._weight.flatten(1), self.epilogue.bias)[:, :, None, None]
        return activate(y if residual is None else y + residual, self.epilogue.activation)

    def _prepack(self, shape: torch.Size) -> Tensor:
        g = self.geometry
        reorder = torch.ops.mkldnn._reorder_convolution_weight
        return reorder(self._weight, g.padding, g.stride, g.dilation, g.groups, list(shape))

    def _fused(self, x: Tensor, weight: Tensor, residual: Tensor | None) -> Tensor:
        g, bias = self.geometry, self.epilogue.bias
        name, scalars = _POINTWISE[self.epilogue.activation]
        where: tuple[Pair, Pair, Pair, int] = (g.padding, g.stride, g.dilation, g.groups)
        convolve = torch.ops.mkldnn._convolution_pointwise
        if residual is None:
            return convolve(x, weight, bias, *where, name, scalars, "")
        if self.epilogue.activation == "relu6":
            # The binary form takes no scalars for its second step.
            return convolve(x, weight, bias, *where, "none", [], "").add_(residual).clamp_(0, 6)
        second = None if name == "none" else name
        return convolve.binary(x, residual, weight, bias, *where, "add", None, second, [], None)

    def _plain(self, x: Tensor, residual: Tensor | None) -> Tensor:
        g = self.geometry
        y = F.conv2d(
            x,
            self._weight,
            self.epilogue.bias,
            stride=g.stride,
            padding=g.padding,
            dilation=g.dilation,
            groups=g.groups,
        )
        return activate(y if residual is None else y.add_(residual), self.epilogue.activation)


def as_channels_last(x: Tensor) -> Tensor:
    """x with strides that leave no doubt. A tensor of one channel or one pixel is contiguous in both
    formats, and torch would then choose NCHW for the output.
    """
    _, channels, height, width = x.shape
    if channels > 1 and height * width > 1:
        return x
    return x.as_strided(x.shape, (channels * height * width, 1, channels * width, channels))


def missing_reason() -> str | None:
    """Why the prepacked call cannot be used here; None if it can."""
    if not torch.backends.mkldnn.is_available():
        return "this torch is built without oneDNN"
    for name in ("_reorder_convolution_weight", "_convolution_pointwise"):
        if not _has(getattr(torch.ops.mkldnn, name, None)):
            return f"this torch has no mkldnn::{name}"
    return None


def _has(operator: Callable[..., Tensor] | None) -> bool:
    return operator is not None


ENGINE = DenseEngine()
