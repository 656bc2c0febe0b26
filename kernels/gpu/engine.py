"""The Triton engine for single layers: NVIDIA GPUs, or the interpreter for checks without one.

Layers of a network stay in the GPU layout from end to end; this engine converts in and out of it around one
layer, for checks, for the table of engines and for whoever runs a single layer. Its time says nothing
about a network's.
"""

from __future__ import annotations

import os
from importlib.util import find_spec

import torch
from torch import Tensor

from kernels.engines import ACTIVATIONS, Epilogue, Operator
from kernels.gpu.feature_map import FeatureMap, chwn
from kernels.gpu.launch import LaunchConfig
from kernels.pack import PackedWeight
from kernels.precision import FP32, Precision, for_dtype

# What Triton's tensor-core and asynchronous-copy paths need, and 2:4 products too.
OLDEST_CAPABILITY = (8, 0)
# Works on every card and every layer, and is quick to interpret; networks take theirs from the tuner.
SAFE = LaunchConfig(width=32, block_m=32, block_n=64, block_k=32)


def interpreted() -> bool:
    """Whether Triton runs its kernels on the CPU in this process, one program at a time."""
    return os.environ.get("TRITON_INTERPRET") == "1"


def missing_reason() -> str | None:
    """Why no Triton kernel can run in this process; None if it can."""
    if find_spec("triton") is None:
        return "triton is not installed (it needs Linux; pip install triton)"
    return None if interpreted() else missing_gpu()


def missing_gpu() -> str | None:
    """Why this machine has no GPU that is new enough; None if it has one."""
    if not torch.cuda.is_available():
        return "torch sees no NVIDIA GPU"
    capability = torch.cuda.get_device_capability()
    if capability < OLDEST_CAPABILITY:
        return f"the GPU has compute capability {capability[0]}.{capability[1]}, the kernels need 8.0"
    return None


class TritonEngine:
    """Gathered products in Triton; float32, float16 and bfloat16."""

    name = "triton"
    title = "Triton gathered GEMM, images innermost"
    activations = ACTIVATIONS

    @property
    def speed_claim(self) -> bool:
        """Never in the interpreter: a thousand times slower than a GPU, its times mean nothing."""
        return not interpreted()

    def available(self) -> str | None:
        return missing_reason()

    def supports(self, packed: PackedWeight, dtype: torch.dtype) -> str | None:
        if dtype not in (torch.float32, torch.float16, torch.bfloat16):
            return f"expected float32, float16 or bfloat16, got {dtype}"
        if packed.geometry.groups != 1:
            return f"expected a layer of one group, got {packed.geometry.groups}"
        return None

    def build(self, packed: PackedWeight, epilogue: Epilogue) -> Operator:
        return GpuOperator(packed, epilogue)


class GpuOperator:
    """One layer: x [N, C, H, W] on the GPU (or, interpreted, on the CPU) to y in channels_last."""

    def __init__(
        self,
        packed: PackedWeight,
        epilogue: Epilogue,
        *,
        config: LaunchConfig = SAFE,
        precision: Precision | None = None,
    ) -> None:
        from kernels.gpu.gemm import GatheredGemm

        self.geometry = packed.geometry
        self.device = "cpu" if interpreted() else "cuda"
        self.precision = precision or for_dtype(packed.tiles[0].values.dtype if packed.tiles else FP32.dtype)
        self._product = GatheredGemm(
            packed, epilogue, config=config, precision=self.precision, device=self.device
        )

    def __call__(self, x: Tensor, residual: Tensor | None = None) -> Tensor:
        output = self.geometry.output_size(*x.shape[2:])
        y = self._map(self.geometry.rows, output, len(x))
        self._product.bind(
            self._filled(x), y, None if residual is None else self._filled(residual, padded=False)
        )()
        return y.nchw().contiguous(memory_format=torch.channels_last)

    def _filled(self, x: Tensor, *, padded: bool = True) -> FeatureMap:
        halo = self.geometry.padding if padded else (0, 0)
        filled = self._map(x.shape[1], (x.shape[2], x.shape[3]), len(x), halo)
        filled.write(x)
        return filled

    def _map(
        self, channels: int, plane: tuple[int, int], images: int, halo: tuple[int, int] = (0, 0)
    ) -> FeatureMap:
        return chwn(channels, plane, images, halo=halo, dtype=self.precision.dtype, device=self.device)


ENGINE = TritonEngine()
