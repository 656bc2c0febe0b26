"""A network as a graph of its operations, free of in-place writes, with the shape of every value."""

from __future__ import annotations

import copy
import operator
from collections.abc import Callable
from typing import Any

import torch
from torch import fx, nn
from torch.fx.passes.shape_prop import ShapeProp, TensorMetadata
from torch.nn import functional as F

from bcbp.errors import ModelError

# What a forward pass may raise on a stand-in for a tensor: it branches on a value, indexes by it, ...
REFUSALS = (
    TypeError,
    ValueError,
    RuntimeError,
    AttributeError,
    LookupError,
    ArithmeticError,
    AssertionError,
)
_OPERATORS = {operator.iadd: operator.add, operator.isub: operator.sub, operator.imul: operator.mul}


class UntraceableError(ModelError):
    """A forward pass that cannot be written down as a fixed graph of operations."""


def trace(module: nn.Module, input_shape: tuple[int, ...] | None = None) -> fx.GraphModule:
    """`module` in eval mode as a graph; with `input_shape` its nodes know their shape for one image.

    Shares the weights of `module` and leaves it as it is. Dropout and Identity are gone, in-place
    operations are replaced by their pure twins, and `view` by `reshape` (so that any memory format can pass).
    Raises UntraceableError with the reason where the forward pass depends on values.
    """
    if module.training:
        module = copy.deepcopy(module).eval()
    try:
        traced = fx.symbolic_trace(module)
        _purify(traced)
        if input_shape is not None:
            with torch.no_grad():
                ShapeProp(traced).propagate(torch.zeros(1, *input_shape))
    except REFUSALS as error:
        reason = str(error).strip().split("\n")[0][:160] or type(error).__name__
        raise UntraceableError(f"the forward pass is not a fixed graph of operations ({reason})") from error
    return traced


def shape_of(node: object) -> tuple[int, ...] | None:
    """The shape of a node's value for one image; None if it is no single tensor."""
    meta = node.meta.get("tensor_meta") if isinstance(node, fx.Node) else None
    return tuple(meta.shape) if isinstance(meta, TensorMetadata) else None


def module_of(node: fx.Node) -> nn.Module | None:
    """The module that a call_module node calls; None for other nodes."""
    if node.op != "call_module":
        return None
    owner = node.graph.owning_module
    assert owner is not None
    return owner.get_submodule(str(node.target))


def _purify(traced: fx.GraphModule) -> None:
    order = {node: index for index, node in enumerate(traced.graph.nodes)}
    overwriting = _make_modules_pure(traced)
    for node in list(traced.graph.nodes):
        child = module_of(node)
        if isinstance(child, nn.Identity | nn.modules.dropout._DropoutNd) or _is_dropout(node):
            node.replace_all_uses_with(node.args[0])
            traced.graph.erase_node(node)
        elif node.target in overwriting or _make_pure(node):
            changed = node.args[0]
            for user in [user for user in changed.users if order[user] > order[node]]:
                user.replace_input_with(changed, node)
        if node.op == "call_method" and node.target == "view":
            node.target = "reshape"
    traced.graph.lint()
    traced.recompile()


def _is_dropout(node: fx.Node) -> bool:
    """Whether a function call drops values, or whole branches, in training only."""
    name = getattr(node.target, "__name__", "")
    return node.op == "call_function" and (node.target is F.dropout or name == "stochastic_depth")


def _make_modules_pure(traced: fx.GraphModule) -> set[str]:
    """Replace modules that overwrite their input by twins that do not; their names."""
    names = {name for name, child in traced.named_modules() if getattr(child, "inplace", False)}
    for name in names:
        twin: Any = copy.copy(traced.get_submodule(name))
        twin.inplace = False
        traced.add_submodule(name, twin)
    return names


def _make_pure(node: fx.Node) -> bool:
    """Turn a function or method that overwrites its argument into one that does not; whether it was one."""
    if node.kwargs.get("inplace"):
        node.kwargs = {**node.kwargs, "inplace": False}
        return True
    twin = _pure_twin(node)
    if twin is not None:
        node.target = twin
    return twin is not None


def _pure_twin(node: fx.Node) -> str | Callable[..., Any] | None:
    """What computes the same without overwriting; None if `node` overwrites nothing."""
    target = node.target
    name = str(getattr(target, "__name__", target))
    overwrites = name.endswith("_") and not name.endswith("__")
    if node.op == "call_method":
        return name[:-1] if overwrites else None
    if node.op == "call_function" and target in _OPERATORS:
        return _OPERATORS[target]
    return getattr(torch, name[:-1], None) if node.op == "call_function" and overwrites else None
