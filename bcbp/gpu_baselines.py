"""The ways to run a dense network on a GPU: a pruned one is compared with the best of them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, fx, nn
from torch.fx.experimental.optimization import fuse

from bcbp.baselines import Build, Declined, Run, first_line
from bcbp.tracing import REFUSALS
from kernels.gpu.graph import captured
from kernels.precision import Precision, torch_products

Prepare = Callable[[nn.Module, torch.dtype], nn.Module]


def _eager(module: nn.Module, dtype: torch.dtype) -> nn.Module:
    """The module as PyTorch runs it by default."""
    return module.to(dtype)


def _channels_last(module: nn.Module, dtype: torch.dtype) -> nn.Module:
    """Weights and images in channels_last, as cuDNN's tensor-core kernels like them."""
    return module.to(dtype).to(memory_format=torch.channels_last)


def _folded(module: nn.Module, dtype: torch.dtype) -> nn.Module:
    """Batch norms folded in float32 into the convolutions before them, by PyTorch's own pass."""
    return _channels_last(fuse(module, no_trace=isinstance(module, fx.GraphModule)), dtype)


def _compiled(module: nn.Module, dtype: torch.dtype) -> nn.Module:
    """torch.compile with its autotuning, on folded weights. Compiling takes minutes for a large network."""
    folded = _folded(module, dtype)
    return torch.compile(folded, dynamic=False, mode="max-autotune-no-cudagraphs")  # type: ignore[return-value]


FORMS: dict[str, Prepare] = {
    "eager": _eager,
    "channels_last": _channels_last,
    "folded": _folded,
    "compiled": _compiled,
}
GRAPH = " + graph"


def gpu_forms(precision: Precision, device: torch.device) -> dict[str, Build]:
    """Every one of FORMS, then the same recorded as a CUDA graph, which spares the launches.

    Forms take any float type and give float32; modules are not touched. A graph needs a GPU: elsewhere the
    same calls are made one by one. A form that does not run a network raises Declined.
    """
    forms = {name: _Form(name, precision, device) for name in FORMS}
    return {
        title: build
        for name, form in forms.items()
        for title, build in ((name, form.plain), (name + GRAPH, form.graphed))
    }


class _Form:
    """One of FORMS. The network it prepared last is kept for its graph: compiling twice takes minutes."""

    def __init__(self, name: str, precision: Precision, device: torch.device) -> None:
        self._name, self._precision, self._device = name, precision, device
        self._layout = torch.contiguous_format if name == "eager" else torch.channels_last
        self._last: tuple[nn.Module, tuple[int, ...], Run] | None = None

    def plain(self, module: nn.Module, input_shape: tuple[int, ...], batch: int) -> Run:
        with self._declining(self._name):
            return self._prepared(module, (batch, *input_shape))

    def graphed(self, module: nn.Module, input_shape: tuple[int, ...], batch: int) -> Run:
        with self._declining(self._name + GRAPH):
            run = self._prepared(module, (batch, *input_shape))
            self._last = None
            return run if self._device.type != "cuda" else self._recorded(run, (batch, *input_shape))

    @contextmanager
    def _declining(self, title: str) -> Iterator[None]:
        try:
            yield
        except REFUSALS as error:
            raise Declined(f"{title} failed: {first_line(error)}") from error

    def _prepared(self, module: nn.Module, shape: tuple[int, ...]) -> Run:
        """The form of `module`, run once on inputs of `shape`."""
        if self._last is not None and self._last[0] is module and self._last[1] == shape:
            return self._last[2]
        run = self._run_of(copy.deepcopy(module).eval().to(self._device))
        run(torch.randn(shape, device=self._device))
        self._last = (module, shape, run)
        return run

    @torch.no_grad()
    def _run_of(self, moved: nn.Module) -> Run:
        precision, layout = self._precision, self._layout
        prepared = FORMS[self._name](moved, precision.dtype)

        @torch.no_grad()
        def run(x: Tensor) -> Tensor:
            with torch_products(precision):
                return prepared(x.to(precision.dtype, memory_format=layout)).float()

        return run

    def _recorded(self, run: Run, shape: tuple[int, ...]) -> Run:
        """`run` on buffers of its own, replayed; as much copying as a program on feature maps does."""
        x = torch.randn(shape, device=self._device).contiguous(memory_format=self._layout)
        results: list[Tensor] = []

        def once() -> None:
            results[:] = [run(x)]

        replay = captured(once)

        def forward(images: Tensor) -> Tensor:
            x.copy_(images)
            replay()
            return results[0].clone()

        return forward
