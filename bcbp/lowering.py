"""From a traced network to the steps of a GPU program: what has a kernel, and what PyTorch runs itself."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from bcbp.errors import ModelError
from bcbp.fusion import FusedLayer, Layer, fold, fused_layers
from bcbp.geometry import geometry_of
from bcbp.mask import Mask
from bcbp.tracing import module_of, shape_of
from kernels.engines import ACTIVATIONS, Epilogue
from kernels.gpu.map_layer import MapLayer
from kernels.gpu.pooling import Pool
from kernels.gpu.recipe import Flatten, Operation, Recipe, Step, Value
from kernels.pack import PackedWeight, pack_dense
from kernels.precision import Precision

_FLATTENS = (torch.flatten, "flatten", torch.reshape, "reshape")


class LoweringError(ModelError):
    """A network that has no form as a GPU program; the message says what stands in the way."""


def lower(
    traced: fx.GraphModule, masks: dict[str, Mask], *, precision: Precision, device: torch.device
) -> Recipe:
    """The recipe of a traced network that knows its shapes, with weights pruned by `masks`.

    Batch norms are folded, sums and activations taken into the layers before them. Raises LoweringError for
    values that are no maps or vectors, and results that are no single tensor.
    """
    return _Lowering(traced, masks, precision, device).recipe()


@dataclass(eq=False)
class _Lowering:
    """The walk over the graph: a value for every node so far, and constants that nodes read."""

    traced: fx.GraphModule
    masks: dict[str, Mask]
    precision: Precision
    device: torch.device
    values: dict[fx.Node, Value] = field(default_factory=dict)
    constants: dict[fx.Node, Tensor] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)

    def recipe(self) -> Recipe:
        fused = {one.nodes[-1]: one for one in fused_layers(self.traced, ACTIVATIONS) if _has_kernel(one)}
        inner = {node for one in fused.values() for node in one.nodes[:-1]}
        source: Value | None = None
        for node in self.traced.graph.nodes:
            if node.op == "output":
                return self._finish(source, node)
            if node.op == "placeholder":
                if source is not None:
                    raise LoweringError(f"the network takes a second input, {node.name}")
                source = self._value(node)
            elif node.op == "get_attr":
                self.constants[node] = self._constant(node)
            elif node in fused:
                self._add_layer(node, fused[node])
            elif node not in inner and node.users:
                self._add(node)
        raise LoweringError("the network gives nothing")

    def _finish(self, source: Value | None, output: fx.Node) -> Recipe:
        result = output.args[0]
        if source is None or not isinstance(result, fx.Node) or result not in self.values:
            raise LoweringError("the network does not turn one batch of images into one tensor")
        return Recipe(tuple(self.steps), source, self.values[result], self.precision)

    def _value(self, node: fx.Node) -> Value:
        shape = shape_of(node)
        if shape is not None and len(shape) == 4 and shape[0] == 1:
            return self.values.setdefault(node, Value(shape[1], (shape[2], shape[3])))
        if shape is not None and len(shape) == 2 and shape[0] == 1:
            return self.values.setdefault(node, Value(shape[1], (1, 1), flat=True))
        raise LoweringError(f"{node.name} gives {shape or 'no tensor'}, which is no map of every image")

    def _constant(self, node: fx.Node) -> Tensor:
        value: Any = self.traced
        for part in str(node.target).split("."):
            value = getattr(value, part)
        if not isinstance(value, Tensor):
            raise LoweringError(f"{node.name} is a {type(value).__name__}, not a tensor")
        return value.detach().to(self.device, self.precision.dtype)

    def _add_layer(self, node: fx.Node, fused: FusedLayer) -> None:
        layer = module_of(fused.nodes[0])
        assert isinstance(layer, Layer)
        weight, bias = fold(layer, fused.batch_norm)
        packed = self._pack(fused.name, layer, weight)
        operation = MapLayer(packed, Epilogue(bias, fused.activation), self.precision)
        self._step(fused.name, operation, fused.inputs, node)

    def _pack(self, name: str, layer: Layer, weight: Tensor) -> PackedWeight:
        mask, geometry = self.masks.get(name), geometry_of(layer)
        if mask is None:
            return pack_dense(weight, geometry)
        return mask.pack(weight, geometry)

    def _add(self, node: fx.Node) -> None:
        """A step for a node that no layer took in. Sizes and tuples get none: their readers are refused."""
        pool = _pool(node)
        if shape_of(node) is None:
            return
        if pool is not None and pool.is_identity:
            self.values[node] = self._known(node.args[0], node.name)
        elif pool is not None:
            self._step(node.name, pool, (node.args[0],), node)
        elif node.target in _FLATTENS or isinstance(module_of(node), nn.Flatten):
            self._add_flatten(node)
        else:
            self._add_torch(node)

    def _add_flatten(self, node: fx.Node) -> None:
        before, after = shape_of(node.args[0]), shape_of(node)
        if before is None or after is None or after != (1, math.prod(before[1:])):
            raise LoweringError(f"{node.name} turns {before} into {after}")
        self._step(node.name, Flatten(), (node.args[0],), node)

    def _add_torch(self, node: fx.Node) -> None:
        sources = [read for read in node.all_input_nodes if read not in self.constants]
        self._step(node.name, self._function(node, sources), tuple(sources), node)

    def _function(self, node: fx.Node, sources: list[fx.Node]) -> Callable[..., Tensor]:
        """What the node computes, as a function of its sources alone."""
        child = module_of(node)
        moved = None if child is None else copy.deepcopy(child).to(self.device, self.precision.dtype)

        def run(*tensors: Tensor) -> Tensor:
            known = self.constants | dict(zip(sources, tensors, strict=True))
            args = fx.node.map_arg(node.args, known.__getitem__)
            kwargs = fx.node.map_arg(node.kwargs, known.__getitem__)
            if moved is not None:
                return moved(*args, **kwargs)
            if node.op == "call_method":
                return getattr(args[0], str(node.target))(*args[1:], **kwargs)
            return node.target(*args, **kwargs)  # type: ignore[operator]

        return run

    def _step(self, name: str, operation: Operation, sources: tuple[Any, ...], node: fx.Node) -> None:
        known = tuple(self._known(source, name) for source in sources)
        self.steps.append(Step(name, operation, known, self._value(node)))

    def _known(self, source: Any, reader: str) -> Value:
        if source not in self.values:
            raise LoweringError(f"{reader} reads {source}, which is no map")
        return self.values[source]


def _has_kernel(fused: FusedLayer) -> bool:
    """Linear layers run as 1x1 convolutions of vectors; on other shapes PyTorch runs them."""
    return isinstance(module_of(fused.nodes[0]), nn.Conv2d) or len(shape_of(fused.inputs[0]) or ()) == 2


def _pool(node: fx.Node) -> Pool | None:
    """The window that a node moves over its one input; None where it does something else."""
    before, after = shape_of(node.args[0]) if node.args else None, shape_of(node)
    if before is None or after is None or len(before) != 4:
        return None
    if _is_plane_mean(node):
        return _adaptive(before[2:], (1, 1))
    module = _pooling_module(node)
    if isinstance(module, nn.AdaptiveAvgPool2d):
        return _adaptive(before[2:], after[2:])
    if isinstance(module, nn.MaxPool2d) and not module.return_indices:
        return Pool(
            _pair(module.kernel_size),
            _pair(module.stride),
            _pair(module.padding),
            _pair(module.dilation),
            ceil=module.ceil_mode,
        )
    if isinstance(module, nn.AvgPool2d) and module.divisor_override is None:
        return Pool(
            _pair(module.kernel_size),
            _pair(module.stride),
            _pair(module.padding),
            mean=True,
            count_padding=module.count_include_pad,
            ceil=module.ceil_mode,
        )
    return None


def _pooling_module(node: fx.Node) -> nn.Module | None:
    """The module that a node calls, or the one that its function stands for."""
    twins: dict[Any, type[nn.Module]] = {
        F.max_pool2d: nn.MaxPool2d,
        F.avg_pool2d: nn.AvgPool2d,
        F.adaptive_avg_pool2d: nn.AdaptiveAvgPool2d,
    }
    # Function and module agree on the order of kernel, stride, padding and (for maxima) dilation.
    if node.op == "call_function" and node.target in twins and len(node.args) <= 5:
        return twins[node.target](*node.args[1:], **node.kwargs)
    return module_of(node)


def _is_plane_mean(node: fx.Node) -> bool:
    if node.target not in ("mean", torch.mean):
        return False
    dims = node.args[1] if len(node.args) > 1 else node.kwargs.get("dim")
    return isinstance(dims, list | tuple) and sorted(d % 4 for d in dims if isinstance(d, int)) == [2, 3]


def _adaptive(plane: tuple[int, ...], target: tuple[int, ...]) -> Pool | None:
    """Means over equal windows; None where the windows would differ in size."""
    if any(size % count for size, count in zip(plane, target, strict=True)):
        return None
    kernel = (plane[0] // target[0], plane[1] // target[1])
    return Pool(kernel, kernel, mean=True)


def _pair(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (int(value[0]), int(value[1]))
