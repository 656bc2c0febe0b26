"""The ways to run a dense network on a GPU: a pruned one is compared with the best of them."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor, fx, nn
from torch.fx.experimental.optimization import fuse

from bcbp.baselines import Build, Declined, Run, first_line
from bcbp.tracing import REFUSALS
from kernels.gpu.graph import captured
from kernels.precision import Precision, torch_products

Prepare = Callable[[nn.Module], nn.Module]


def _eager(module: nn.Module) -> nn.Module:
    """The module as PyTorch runs it by default."""
    return module


def _channels_last(module: nn.Module) -> nn.Module:
    """Weights and images in channels_last, as cuDNN's tensor-core kernels like them."""
    return module.to(memory_format=torch.channels_last)


def _folded(module: nn.Module) -> nn.Module:
    """Batch norms folded into the convolutions before them, by PyTorch's own pass."""
    return _channels_last(fuse(module, no_trace=isinstance(module, fx.GraphModule)))


def _compiled(module: nn.Module) -> nn.Module:
    """torch.compile with its autotuning, on folded weights. Compiling takes minutes for a large network."""
    return torch.compile(_folded(module), dynamic=False, mode="max-autotune-no-cudagraphs")  # type: ignore[return-value]


FORMS: dict[str, Prepare] = {
    "eager": _eager,
    "channels_last": _channels_last,
    "folded": _folded,
    "compiled": _compiled,
}
GRAPH = " + graph"


def gpu_forms(precision: Precision, device: torch.device) -> dict[str, Build]:
    """Every form as it is and recorded as a CUDA graph, which spares the launches."""

    def builder(name: str) -> Build:
        def build(module: nn.Module, input_shape: tuple[int, ...], batch: int) -> Run:
            shape = (batch, *input_shape)
            return dense_forward(module, shape, precision=precision, device=device, form=name)

        return build

    return {name: builder(name) for form in FORMS for name in (form, form + GRAPH)}


def dense_forward(
    module: nn.Module,
    shape: tuple[int, ...],
    *,
    precision: Precision,
    device: torch.device,
    form: str,
) -> Run:
    """A dense network in one of FORMS, with GRAPH behind its name as a CUDA graph, for inputs of `shape`.

    It takes any float type and gives float32; the module is not touched. A graph needs a GPU: elsewhere the
    same calls are made one by one. Raises Declined where the form does not run this network.
    """
    name, graphed = form.removesuffix(GRAPH), form.endswith(GRAPH) and device.type == "cuda"
    try:
        run = _ungraphed(name, module, precision, device)
        run(torch.randn(shape, device=device))
        return _graphed(run, shape, device) if graphed else run
    except REFUSALS as error:
        raise Declined(f"{form} failed: {first_line(error)}") from error


def _ungraphed(name: str, module: nn.Module, precision: Precision, device: torch.device) -> Run:
    with torch.no_grad():
        prepared = FORMS[name](copy.deepcopy(module).eval().to(device, precision.dtype))
    layout = torch.contiguous_format if name == "eager" else torch.channels_last

    @torch.no_grad()
    def run(x: Tensor) -> Tensor:
        with torch_products(precision):
            return prepared(x.to(precision.dtype, memory_format=layout)).float()

    return run


def _graphed(run: Run, shape: tuple[int, ...], device: torch.device) -> Run:
    """`run` on buffers of its own, replayed; as much copying as a program on feature maps does."""
    x = torch.randn(shape, device=device)
    results: list[Tensor] = []

    def once() -> None:
        results[:] = [run(x)]

    replay = captured(once)

    def forward(images: Tensor) -> Tensor:
        x.copy_(images)
        replay()
        return results[0].clone()

    return forward
