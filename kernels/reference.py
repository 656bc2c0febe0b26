"""The definition of correct: a pruned convolution in plain torch, on the unpacked weight."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from kernels.engines import ACTIVATIONS, Epilogue, Operator
from kernels.pack import PackedWeight, unpack

# GELU in its exact form, by the error function (Hendrycks and Gimpel 2016).
_FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "none": lambda y: y,
    "relu": F.relu,
    "relu6": F.relu6,
    "silu": F.silu,
    "gelu": F.gelu,
}


def activate(y: Tensor, activation: str) -> Tensor:
    """Apply one of ACTIVATIONS by name."""
    return _FUNCTIONS[activation](y)


class ReferenceEngine:
    """Multiplies by the zeros too: right, and no faster than dense."""

    name = "reference"
    title = "plain torch reference (masked dense weight)"
    speed_claim = False
    activations = ACTIVATIONS

    def available(self) -> str | None:
        return None

    def supports(self, packed: PackedWeight, dtype: torch.dtype) -> str | None:
        return None

    def build(self, packed: PackedWeight, epilogue: Epilogue) -> Operator:
        geometry = packed.geometry
        weight = unpack(packed).view(geometry.weight_shape)

        def run(x: Tensor, residual: Tensor | None = None) -> Tensor:
            y = F.conv2d(
                x,
                weight,
                epilogue.bias,
                stride=geometry.stride,
                padding=geometry.padding,
                dilation=geometry.dilation,
                groups=geometry.groups,
            )
            y = activate(y if residual is None else y + residual, epilogue.activation)
            return y.contiguous(memory_format=torch.channels_last)

        return run


ENGINE = ReferenceEngine()
