"""The ways to run a dense network: a pruned one is compared with the best of them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bcbp.choice import AUTO, DENSE, SPARSE
from bcbp.network import convert
from kernels.engines import engine

Run = Callable[[Tensor], Tensor]
Build = Callable[[nn.Module, tuple[int, ...], int], Run]


class Declined(Exception):
    """This way of running a network is not open on this machine; the message says why."""


@dataclass(frozen=True)
class DenseCandidate:
    """One way to run a dense network: `run` takes float32 [N, C, H, W] of any strides, without gradients."""

    name: str
    run: Run


def dense_candidates(
    module: nn.Module, *, forms: Mapping[str, Build], input_shape: tuple[int, ...], batch: int
) -> tuple[tuple[DenseCandidate, ...], tuple[tuple[str, str], ...]]:
    """Every way in `forms` that works here, ready to run `batch` images, and (name, reason) of the others.

    Compiling takes tens of seconds. The module itself is never touched.
    """
    ready, declined = [], []
    for name, build in forms.items():
        try:
            ready.append(DenseCandidate(name, build(module, input_shape, batch)))
        except Declined as reason:
            declined.append((name, str(reason)))
    return tuple(ready), tuple(declined)


def _eager(module: nn.Module, _input_shape: tuple[int, ...], _batch: int) -> Run:
    """The module as PyTorch runs it by default."""
    return _without_gradients(copy.deepcopy(module).eval(), torch.contiguous_format)


def _channels_last(module: nn.Module, _input_shape: tuple[int, ...], _batch: int) -> Run:
    """The module with weights and images in channels_last, as oneDNN likes them."""
    moved = copy.deepcopy(module).eval().to(memory_format=torch.channels_last)
    return _without_gradients(moved, torch.channels_last)


def _prepacked(module: nn.Module, input_shape: tuple[int, ...], batch: int) -> Run:
    """Weights packed ahead for oneDNN, batch norm, sums and activations fused into the layers."""
    return convert(module, None, input_shape=input_shape, engine=DENSE, batch=batch)


def _unpruned(module: nn.Module, input_shape: tuple[int, ...], batch: int) -> Run:
    """Every layer on the faster of oneDNN and the engine of pruned layers, with nothing removed.

    Without this form a speed-up would be partly the engine's own, and not pruning's.
    """
    if (reason := engine(SPARSE).available()) is not None:
        raise Declined(reason)
    network = convert(module, None, input_shape=input_shape, engine=AUTO, batch=batch)
    if all(layer.engine == DENSE for layer in network.layers):
        raise Declined("faster than oneDNN in no layer: the same as prepacked")
    return network


def _compiled(module: nn.Module, input_shape: tuple[int, ...], batch: int) -> Run:
    """torch.compile with constant weights (`freezing`): inductor folds batch norm and packs weights itself.

    Its autotuning is left off: on CPU it has templates for matrix products, none for convolutions. Declined
    where there is no C++ compiler, and where compiling fails.
    """
    moved = copy.deepcopy(module).eval().to(memory_format=torch.channels_last)
    compiled = torch.compile(moved, dynamic=False, options={"freezing": True})
    run = _without_gradients(compiled, torch.channels_last)
    try:
        run(torch.zeros(batch, *input_shape))
    except (RuntimeError, OSError) as error:
        raise Declined(f"torch.compile failed: {first_line(error)}") from error
    return run


def first_line(error: Exception) -> str:
    """What an error says first: the rest is for its own developers."""
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)


def _without_gradients(module: Callable[[Tensor], Tensor], memory_format: torch.memory_format) -> Run:
    @torch.inference_mode()
    def run(x: Tensor) -> Tensor:
        return module(x.contiguous(memory_format=memory_format))

    return run


# On the processor. A GPU has its own: see gpu_baselines.
CPU_FORMS: dict[str, Build] = {
    "eager": _eager,
    "channels_last": _channels_last,
    "prepacked": _prepacked,
    SPARSE: _unpruned,
    "compiled": _compiled,
}
