"""Which operations a layer can take into its epilogue: batch norm, a residual sum, an activation."""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Container
from dataclasses import dataclass

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_weights

from bcbp.tracing import module_of, shape_of

Layer = nn.Conv2d | nn.Linear
_SUMS = (operator.add, torch.add, "add")
_ACTIVATIONS = {torch.relu: "relu", F.relu: "relu", F.relu6: "relu6", F.silu: "silu", "relu": "relu"}
_ACTIVATION_MODULES: dict[type[nn.Module], str] = {nn.ReLU: "relu", nn.ReLU6: "relu6", nn.SiLU: "silu"}


@dataclass(frozen=True)
class FusedLayer:
    """A called layer and the `nodes` of the graph that it computes, in order; the first is its own.

    The layer gives `activation(batch_norm(W x) + residual)`; `sum` is the node that adds the residual.
    """

    name: str
    nodes: tuple[fx.Node, ...]
    batch_norm: nn.Module | None = None
    sum: fx.Node | None = None
    activation: str = "none"

    @property
    def inputs(self) -> tuple[fx.Node, ...]:
        """The nodes that give x and, behind a sum, the residual: as the graph stands now."""
        first = self.nodes[0].args[0]
        others = () if self.sum is None else tuple(arg for arg in self.sum.args if arg not in self.nodes)
        return (first, *others)  # type: ignore[arg-type]


def _takes_batch(node: fx.Node, layer: Layer) -> bool:
    """Whether an engine can stand in for this call: of a layer it knows, on [N, C, H, W] or [..., K]."""
    if decline_layer(layer) is not None or len(node.args) != 1 or node.kwargs:
        return False
    shape = shape_of(node.args[0])
    return shape is not None and takes_shape(layer, shape)


def takes_shape(layer: Layer, shape: tuple[int, ...]) -> bool:
    """Whether an input of `shape` is a batch, as engines need it; PyTorch also takes a single image."""
    return isinstance(layer, nn.Linear) or len(shape) == 4


def decline_layer(layer: Layer) -> str | None:
    """Why the engines cannot stand in for a layer; None if they can."""
    if type(layer).forward not in (nn.Conv2d.forward, nn.Linear.forward):
        return f"{type(layer).__name__} has a forward pass of its own"
    if layer.weight.dtype != torch.float32:
        return f"its weights are {layer.weight.dtype}, engines take float32"
    if isinstance(layer, nn.Conv2d) and (layer.padding_mode != "zeros" or isinstance(layer.padding, str)):
        return f"engines do not know padding {layer.padding_mode!r}/{layer.padding!r}"
    return None


def fused_layers(traced: fx.GraphModule, activations: Container[str]) -> tuple[FusedLayer, ...]:
    """Every layer that the graph calls once and an engine can stand in for, with what it takes in.

    A node is taken in only if nothing else reads the value before it, and by one layer only. `activations`
    names those that the engines fuse.
    """
    calls = Counter(node.target for node in traced.graph.nodes if node.op == "call_module")
    taken: set[fx.Node] = set()
    found = []
    for node in traced.graph.nodes:
        layer = module_of(node)
        if isinstance(layer, Layer) and calls[node.target] == 1 and _takes_batch(node, layer):
            found.append(_absorb(node, layer, taken, activations))
            taken.update(found[-1].nodes)
    return tuple(found)


def fold(layer: Layer, batch_norm: nn.Module | None) -> tuple[Tensor, Tensor | None]:
    """Weight [M, K] and bias [M] of a layer, the running statistics of the batch norm behind it folded in."""
    weight, bias = layer.weight.detach(), None if layer.bias is None else layer.bias.detach()
    if isinstance(batch_norm, nn.modules.batchnorm._BatchNorm):
        assert batch_norm.running_mean is not None and batch_norm.running_var is not None
        folded = fuse_conv_bn_weights(
            weight,  # type: ignore[arg-type]
            bias,  # type: ignore[arg-type]
            batch_norm.running_mean,
            batch_norm.running_var,
            batch_norm.eps,
            batch_norm.weight,
            batch_norm.bias,
        )
        weight, bias = folded[0].detach(), folded[1].detach()
    return weight.flatten(1), bias


def replace_layer(traced: fx.GraphModule, fused: FusedLayer, twin: nn.Module) -> None:
    """Let `twin(x)` or `twin(x, residual)` stand where the last of the fused nodes stands."""
    name = "packed_" + fused.name.replace(".", "_")
    traced.add_submodule(name, twin)
    last = fused.nodes[-1]
    with traced.graph.inserting_after(last):
        call = traced.graph.call_module(name, fused.inputs)
    owners = {name: value for name, value in fused.nodes[0].meta.items() if name == "nn_module_stack"}
    call.meta = last.meta | owners  # the value of the last node, the place of the layer
    last.replace_all_uses_with(call)
    for node in reversed(fused.nodes):
        traced.graph.erase_node(node)


def _absorb(node: fx.Node, layer: Layer, taken: set[fx.Node], activations: Container[str]) -> FusedLayer:
    nodes = [node]
    batch_norm, added, activation = None, None, "none"
    following = _only_user(node, taken)
    if following is not None and _is_batch_norm_of(layer, following):
        batch_norm = module_of(following)
        nodes.append(following)
        following = _only_user(following, taken)
    if following is not None and isinstance(layer, nn.Conv2d) and _adds_residual(following, nodes[-1]):
        added = following
        nodes.append(following)
        following = _only_user(following, taken)
    applied = None if following is None else _activation(following)
    if following is not None and applied is not None and applied in activations:
        activation = applied
        nodes.append(following)
    return FusedLayer(str(node.target), tuple(nodes), batch_norm, added, activation)


def _only_user(node: fx.Node, taken: set[fx.Node]) -> fx.Node | None:
    """The one node that reads this value, if it is free to be taken in."""
    users = list(node.users)
    return users[0] if len(users) == 1 and users[0] not in taken else None


def _is_batch_norm_of(layer: Layer, node: fx.Node) -> bool:
    """Whether `node` normalises the rows of `layer` by fixed statistics."""
    norm = module_of(node)
    kind = nn.BatchNorm2d if isinstance(layer, nn.Conv2d) else nn.BatchNorm1d
    rows_are_channels = len(shape_of(node) or ()) == (4 if isinstance(layer, nn.Conv2d) else 2)
    return isinstance(norm, kind) and norm.running_mean is not None and rows_are_channels


def _adds_residual(node: fx.Node, summand: fx.Node) -> bool:
    """Whether `node` is a plain sum of `summand` and another value of the same shape."""
    if node.target not in _SUMS or len(node.args) != 2 or node.kwargs:
        return False
    others = [arg for arg in node.args if arg is not summand]
    if any(other.op == "get_attr" for other in others if isinstance(other, fx.Node)):
        return False  # a parameter of the shape of one image is no residual of a whole batch
    return len(others) == 1 and shape_of(others[0]) == shape_of(node) == shape_of(summand)


def _activation(node: fx.Node) -> str | None:
    """The name of the activation that `node` applies, one of kernels.engines.ACTIVATIONS; None for others."""
    child = module_of(node)
    if isinstance(child, nn.GELU) or node.target is F.gelu:
        given = child.approximate if isinstance(child, nn.GELU) else node.kwargs.get("approximate", "none")
        return "gelu" if given == "none" else None
    if child is not None:
        return _ACTIVATION_MODULES.get(type(child))
    return _ACTIVATIONS.get(node.target) if node.op in ("call_function", "call_method") else None
