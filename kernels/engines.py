"""The ordered table of engines: who can run a packed layer, and who declines with which reason."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Protocol

import torch
from torch import Tensor

from kernels.pack import PackedWeight

ACTIVATIONS = ("none", "relu", "relu6", "silu", "gelu")


@dataclass(frozen=True)
class Epilogue:
    """What is fused behind the product: y = activation(W x + bias + residual). `bias` is [M] or None."""

    bias: Tensor | None = None
    activation: str = "none"


class Operator(Protocol):
    """A layer ready to run: x [N, C, H, W] (channels_last) and an optional residual [N, M, Ho, Wo] to y."""

    def __call__(self, x: Tensor, residual: Tensor | None = None) -> Tensor: ...


class Engine(Protocol):
    """One way to run a packed layer.

    `speed_claim` is False where its time says nothing about pruning; `activations` are those of ACTIVATIONS
    it can fuse.
    """

    name: str
    title: str
    activations: tuple[str, ...]

    @property
    def speed_claim(self) -> bool: ...

    def available(self) -> str | None:
        """None if this machine can run the engine, else the reason it cannot."""
        ...

    def supports(self, packed: PackedWeight, dtype: torch.dtype) -> str | None:
        """None if the engine can run this layer, else the reason it cannot."""
        ...

    def build(self, packed: PackedWeight, epilogue: Epilogue) -> Operator: ...


# name -> module whose ENGINE it is; imported on first use, so that no optional library is needed to look.
_MODULES = {
    "triton": "kernels.gpu.engine",
    "cpu-tiles": "kernels.cpu.engine",
    "dense": "kernels.dense",
    "reference": "kernels.reference",
}
ENGINE_NAMES = tuple(_MODULES)


def engine(name: str) -> Engine:
    """The engine of that name. Raises KeyError for a name outside ENGINE_NAMES."""
    return import_module(_MODULES[name]).ENGINE


def decline_reason(
    name: str, packed: PackedWeight, dtype: torch.dtype = torch.float32, activation: str = "none"
) -> str | None:
    """Why engine `name` cannot run this layer, with that activation, on this machine; None if it can."""
    chosen = engine(name)
    if activation not in chosen.activations:
        return f"it cannot fuse {activation}, only {', '.join(chosen.activations)}"
    return chosen.available() or chosen.supports(packed, dtype)
