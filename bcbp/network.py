"""A whole network converted to run on engines: layer by layer, with what follows each layer fused into it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from bcbp.choice import AUTO, DENSE, LayerJob, LayerRun, build_layer
from bcbp.errors import ModelError, SpecError
from bcbp.fusion import FusedLayer, Layer, decline_layer, fold, fused_layers, replace_layer, takes_shape
from bcbp.geometry import geometry_of
from bcbp.mask import Mask
from bcbp.masking import apply_plan, masked_copy
from bcbp.plan import PruningPlan
from bcbp.tracing import UntraceableError, shape_of, trace
from kernels.engines import ENGINE_NAMES, Epilogue, Operator
from kernels.engines import engine as engine_named

__all__ = ["ENGINES", "LayerRun", "PackedNetwork", "apply_plan", "convert"]

ENGINES = (AUTO, *ENGINE_NAMES)


class PackedLayer(nn.Module):
    """A convolution on an engine: x [N, C, H, W] and an optional residual of the output's shape."""

    def __init__(self, operator: Operator) -> None:
        super().__init__()
        self.operator = operator
        self.channels_last = True

    def forward(self, x: Tensor, residual: Tensor | None = None) -> Tensor:
        if residual is not None:
            residual = residual.contiguous(memory_format=torch.channels_last)
        y = self.operator(x.contiguous(memory_format=torch.channels_last), residual)
        return y if self.channels_last else y.contiguous()


class PackedLinear(nn.Module):
    """A Linear layer on an engine, as a 1x1 convolution of 1x1 planes: x [..., K] to [..., M]."""

    def __init__(self, operator: Operator) -> None:
        super().__init__()
        self.operator = operator

    def forward(self, x: Tensor) -> Tensor:
        y = self.operator(x.contiguous().view(-1, x.shape[-1], 1, 1))
        return y.reshape(*x.shape[:-1], y.shape[1])


class PackedNetwork(nn.Module):
    """A network whose layers run on engines. Takes float32 [N, C, H, W] of any strides; for inference only.

    `layers` says for every Conv2d and Linear of the original which engine runs it and why. `note` says why
    batch norms, sums and activations could not be fused into the layers; empty where they are.
    """

    def __init__(self, body: nn.Module, layers: tuple[LayerRun, ...], note: str = "") -> None:
        super().__init__()
        self.body = body
        self.layers = layers
        self.note = note

    @torch.inference_mode()
    def forward(self, x: Tensor) -> Tensor:
        return self.body(x.contiguous(memory_format=torch.channels_last))


@dataclass(frozen=True)
class Conversion:
    """What is converted and how: the masked module, masks by layer, the engine asked for, batch size."""

    masked: nn.Module
    masks: dict[str, Mask]
    input_shape: tuple[int, ...]
    engine: str
    batch: int


def convert(
    module: nn.Module,
    plan: PruningPlan | None,
    *,
    input_shape: tuple[int, ...],
    engine: str = AUTO,
    batch: int = 1,
) -> PackedNetwork:
    """`module` pruned by `plan`, on engines; the module itself is never touched.

    With plan None nothing is removed: the same treatment for a dense or physically smaller network.
    `engine` "auto" times every layer, pruned or not, against its dense twin for `batch` images and keeps the
    faster; the name of an engine takes it for pruned layers wherever it does not decline. The result is
    compared with the masked module before it is handed out.
    Raises SpecError for an unknown engine or layer, ModelError where the output is no function of the input.
    """
    if engine not in ENGINES:
        raise SpecError(f"Expected an engine out of {', '.join(ENGINES)}; got {engine!r}.")
    masks = {planned.name: planned.mask for planned in plan or ()}
    job = Conversion(masked_copy(module, plan), masks, input_shape, engine, batch)
    with torch.inference_mode():
        try:
            network = _fused_network(job)
        except UntraceableError as error:
            return _unfused_network(job, note=str(error))
        if _agrees(network, job):
            return network
        return _unfused_network(job, note="the traced graph computes something else than the module")


def _fused_network(job: Conversion) -> PackedNetwork:
    traced = trace(job.masked, job.input_shape)
    runs = {}
    for fused in fused_layers(traced, _fused_by_all()):
        layer = job.masked.get_submodule(fused.name)
        assert isinstance(layer, Layer)
        shape = shape_of(fused.inputs[0])
        assert shape is not None
        twin, runs[fused.name] = _pack_layer(job, layer, fused, shape)
        replace_layer(traced, fused, twin)
    traced.delete_all_unused_submodules()
    traced.graph.lint()
    traced.recompile()
    return PackedNetwork(traced, _all_runs(job, runs))


def _fused_by_all() -> set[str]:
    """The activations that every engine fuses: which one runs a layer is decided later."""
    return set.intersection(*(set(engine_named(name).activations) for name in ENGINE_NAMES))


def _unfused_network(job: Conversion, *, note: str) -> PackedNetwork:
    """Every layer swapped for itself on an engine, inside the module's own forward pass."""
    shapes = _called_with(job)
    body = masked_copy(job.masked, None)
    runs = {}
    for name, layer in list(_layers(job.masked)):
        if name in shapes and takes_shape(layer, shapes[name]) and decline_layer(layer) is None:
            twin, runs[name] = _pack_layer(job, layer, FusedLayer(name, ()), shapes[name])
            body.set_submodule(name, twin)
    network = PackedNetwork(body, _all_runs(job, runs, note=note), note)
    if _agrees(network, job) or _agrees(_in_plain_format(network), job):
        return network
    raise ModelError(
        "Expected the same output from the module and from its layers on engines; they differ. "
        "A forward pass that is random or reads its layers' weights itself cannot be converted."
    )


def _in_plain_format(network: PackedNetwork) -> PackedNetwork:
    """Let the layers hand on plain NCHW values, for a forward pass that needs them (for `view`, say)."""
    for layer in network.modules():
        if isinstance(layer, PackedLayer):
            layer.channels_last = False
    return network


def _pack_layer(
    job: Conversion, layer: Layer, fused: FusedLayer, shape: tuple[int, ...]
) -> tuple[nn.Module, LayerRun]:
    """The layer on its engine; `shape` is that of its input for one image."""
    weight, bias = fold(layer, fused.batch_norm)
    if isinstance(layer, nn.Linear):
        shape = (math.prod(shape[:-1]), shape[-1], 1, 1)
    operator, run = build_layer(
        LayerJob(
            fused.name,
            geometry_of(layer),
            weight,
            Epilogue(bias, fused.activation),
            (shape[0] * job.batch, *shape[1:]),
            fused.sum is not None,
            job.masks.get(fused.name),
        ),
        job.engine,
    )
    return PackedLinear(operator) if isinstance(layer, nn.Linear) else PackedLayer(operator), run


def _layers(module: nn.Module) -> Iterator[tuple[str, Layer]]:
    for name, child in module.named_modules():
        if isinstance(child, Layer):
            yield name, child


def _called_with(job: Conversion) -> dict[str, tuple[int, ...]]:
    """The input shape of every layer that the forward pass calls, for one image."""
    shapes: dict[str, tuple[int, ...]] = {}
    hooks = [
        layer.register_forward_pre_hook(
            lambda _, args, name=name: shapes.__setitem__(name, tuple(args[0].shape))  # type: ignore[misc]
        )
        for name, layer in _layers(job.masked)
    ]
    try:
        job.masked(_example(job, 1))
    finally:
        for hook in hooks:
            hook.remove()
    return shapes


def _all_runs(job: Conversion, runs: dict[str, LayerRun], *, note: str = "") -> tuple[LayerRun, ...]:
    """One entry for every layer, in the module's order; those on no engine run as PyTorch's own modules."""
    kept = "kept as PyTorch's own module: "
    every = []
    for name, layer in _layers(job.masked):
        why = decline_layer(layer) or "the forward pass does not call it once, by itself, on a batch"
        run = runs.get(name, LayerRun(name, DENSE, kept + why))
        every.append(LayerRun(name, run.engine, f"{run.reason}; not fused: {note}") if note else run)
    return tuple(every)


def _example(job: Conversion, images: int) -> Tensor:
    return torch.randn(images, *job.input_shape, generator=torch.Generator().manual_seed(0))


def _agrees(network: PackedNetwork, job: Conversion) -> bool:
    """Whether the network gives what the masked module gives, for one random batch.

    Rounding: a sum of K products in another order moves by about sqrt(K) * eps of its size, and each layer
    adds that once more; 8 times this is allowed, relative to the largest output. A graph read wrongly is
    off by O(1).
    """
    example = _example(job, job.batch)
    try:
        outputs = tree_leaves(network(example))
    except (RuntimeError, ValueError):
        return False
    columns = [layer.weight[0].numel() for _, layer in _layers(job.masked)]
    allowed = 8 * len(columns) * max(columns, default=1) ** 0.5 * torch.finfo(torch.float32).eps
    expected = tree_leaves(job.masked(example))
    return len(outputs) == len(expected) and all(
        torch.allclose(one, other, rtol=0, atol=allowed * float(other.abs().max()), equal_nan=True)
        for one, other in zip(outputs, expected, strict=True)
        if isinstance(other, Tensor)
    )
