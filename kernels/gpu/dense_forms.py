"""A dense layer with bias, residual and ReLU as a user of cuDNN can call it: in steps, fused, or without."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from kernels.gpu.vendor import convolve
from kernels.pack import PackedWeight, unpack
from kernels.precision import Precision, torch_products

# `alone` leaves out bias, residual and ReLU: what no fusion could beat, and not the same work.
EAGER, FUSED, ALONE = "dense eager", "dense fused", "dense conv alone"


@dataclass(frozen=True, eq=False)
class Inputs:
    """One set of inputs in channels_last: x [N, C, H, W] and residual [N, M, Ho, Wo]."""

    x: Tensor
    residual: Tensor

    def of_filters(self, count: int) -> Inputs:
        """The inputs of a smaller layer of the first `count` filters."""
        smaller = self.residual[:, :count].contiguous(memory_format=torch.channels_last)
        return Inputs(self.x, smaller)


def dense_call(
    form: str, packed: PackedWeight, bias: Tensor, inputs: Inputs, *, precision: Precision
) -> Callable[[], Tensor]:
    """The layer in one of the forms above, on `inputs`; gives y in channels_last.

    Calling it raises RuntimeError where cuDNN has no such form for the layer.
    """
    g, x, residual = packed.geometry, inputs.x, inputs.residual
    weight = unpack(packed).view(g.weight_shape).to(x.device, x.dtype)
    weight = weight.contiguous(memory_format=torch.channels_last)
    bias = bias[: g.rows].to(x.device, x.dtype)

    def alone() -> Tensor:
        return convolve(x, weight, g)

    def eager() -> Tensor:
        return convolve(x, weight, g).add_(bias[:, None, None]).add_(residual).relu_()

    def fused() -> Tensor:
        where = (g.stride, g.padding, g.dilation, g.groups)
        return torch.cudnn_convolution_add_relu(x, weight, residual, 1.0, bias, *where)

    call = {ALONE: alone, EAGER: eager, FUSED: fused}[form]

    def run() -> Tensor:
        with torch_products(precision):
            return call()

    return run
