"""Where networks run: a device with its number format, its dense rivals, its engines and its clock."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from bcbp.baselines import CPU_FORMS, Build, Declined, Run, first_line
from bcbp.choice import SPARSE, LayerRun
from bcbp.errors import SpecError
from bcbp.network import convert
from bcbp.plan import PruningPlan
from kernels.cpu.ceiling import measure_ceiling
from kernels.engines import engine
from kernels.gpu.engine import interpreted, missing_reason
from kernels.measure import Timer
from kernels.precision import FP32, PRECISIONS, Precision
from kernels.roofline import Ceiling

CPU, GPU = "cpu", "cuda"
DEVICES = (CPU, GPU)

# Of the largest output. Rounding through tens of fp32 layers moves outputs by some 1e-5 of it, a wrong
# column or a lost epilogue by a tenth and more.
CPU_TOLERANCE = 1e-3

# Patterns that leave single weights.
SCATTERED = "single weights are scattered: no engine here runs them faster than dense"
NEEDS_SPARSE_CORES = "needs the sparse tensor cores of a GPU"


@dataclass(frozen=True, eq=False)
class Packed:
    """A pruned network ready to run, and what runs each of its layers."""

    run: Run
    layers: tuple[LayerRun, ...]


class Runtime(Protocol):
    """One device and precision. `forms` are the ways a dense network may run, `no_engine` the patterns that
    nothing here turns into time, with the reason.
    """

    @property
    def forms(self) -> Mapping[str, Build]: ...

    @property
    def no_engine(self) -> Mapping[str, str]: ...

    def inputs(self, input_shape: tuple[int, ...], batch: int) -> Tensor:
        """The same normal random images each time: float32 [batch, C, H, W], channels_last, on the device."""
        ...

    def pack(self, module: nn.Module, plan: PruningPlan, *, shape: tuple[int, ...]) -> Packed:
        """The network that `plan` leaves, for inputs of `shape`."""
        ...

    def reference(self, module: nn.Module) -> Callable[[Tensor], Tensor]:
        """`module` in exact float32, on the device."""
        ...

    def tolerance(self, module: nn.Module) -> float:
        """How far the output of `module` may be off by rounding, as a share of the largest value."""
        ...

    def timer(self) -> Timer | None:
        """How a call is timed; None for the clock of the host."""
        ...

    def ceiling(self) -> Ceiling:
        """The device's rates in its precision, measured now. Raises Declined where they cannot be."""
        ...


class CpuRuntime:
    """float32 on the processor."""

    forms = CPU_FORMS
    no_engine: Mapping[str, str] = {"unstructured": SCATTERED, "2:4": NEEDS_SPARSE_CORES}

    def inputs(self, input_shape: tuple[int, ...], batch: int) -> Tensor:
        return _random_images(input_shape, batch)

    def pack(self, module: nn.Module, plan: PruningPlan, *, shape: tuple[int, ...]) -> Packed:
        network = convert(module, plan, input_shape=shape[1:], batch=shape[0])
        return Packed(network, network.layers)

    def reference(self, module: nn.Module) -> Callable[[Tensor], Tensor]:
        return module

    def tolerance(self, module: nn.Module) -> float:
        return CPU_TOLERANCE

    def timer(self) -> Timer | None:
        return None

    def ceiling(self) -> Ceiling:
        if (reason := engine(SPARSE).available()) is not None:  # what measures them is generated as it is
            raise Declined(reason)
        return measure_ceiling()


class GpuRuntime:
    """One NVIDIA GPU and the number format its networks run in.

    What only a GPU needs is imported here on first use: Triton and PyTorch's compiler load slowly.
    """

    no_engine: Mapping[str, str] = {"unstructured": SCATTERED}

    def __init__(self, precision: Precision, device: torch.device | str = GPU) -> None:
        from bcbp.gpu_baselines import gpu_forms
        from bcbp.gpu_network import unpruned_form

        self.precision, self.device = precision, torch.device(device)
        self.forms = gpu_forms(precision, self.device) | unpruned_form(precision, self.device)

    def inputs(self, input_shape: tuple[int, ...], batch: int) -> Tensor:
        return _random_images(input_shape, batch).to(self.device)

    def pack(self, module: nn.Module, plan: PruningPlan, *, shape: tuple[int, ...]) -> Packed:
        from bcbp.gpu_network import GpuNetwork

        network = GpuNetwork(module, plan, precision=self.precision, device=self.device)
        return Packed(network.program(shape), network.layers)

    def reference(self, module: nn.Module) -> Callable[[Tensor], Tensor]:
        from bcbp.gpu_network import exact_forward

        return exact_forward(module, self.device)

    def tolerance(self, module: nn.Module) -> float:
        from bcbp.gpu_network import rounding

        return rounding(module, self.precision)

    def timer(self) -> Timer | None:
        from kernels.gpu.clock import GpuTimer

        return GpuTimer(graph=False)  # networks are graphs themselves, where that is their fastest form

    def ceiling(self) -> Ceiling:
        if interpreted():
            raise Declined("kernels are interpreted here, and there is no GPU to measure")
        from kernels.gpu.ceiling import measure_ceiling

        try:
            return measure_ceiling(self.precision)
        except RuntimeError as error:  # such as no room for its gigabytes
            raise Declined(f"the card's rates could not be measured: {first_line(error)}") from error


def runtime(device: str, precision: str) -> Runtime:
    """The runtime of a request. Raises SpecError with the reason where this machine has it not."""
    check_device(device, precision)
    if device == CPU:
        return CpuRuntime()
    reason = missing_reason()
    if reason is not None:
        raise SpecError(f"Expected a GPU to run on; {reason}. Choose device {CPU}.")
    return GpuRuntime(PRECISIONS[precision])


def check_device(device: str, precision: str) -> None:
    """Raise SpecError for a device or precision that does not exist, or not together."""
    if device not in DEVICES:
        raise SpecError(f"Expected a device out of {', '.join(DEVICES)}; got {device!r}.")
    if precision not in PRECISIONS:
        raise SpecError(f"Expected a precision out of {', '.join(PRECISIONS)}; got {precision!r}.")
    if device == CPU and precision != FP32.name:
        raise SpecError(f"Expected {FP32.name} on device {CPU}, its engines know no other; got {precision}.")


def _random_images(input_shape: tuple[int, ...], batch: int) -> Tensor:
    """Random, as zeros multiply faster on some GPUs and denormal values slower on some processors."""
    x = torch.randn(batch, *input_shape, generator=torch.Generator().manual_seed(0))
    return x.contiguous(memory_format=torch.channels_last)
