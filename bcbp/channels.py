"""Where the output channels of a layer go: what must shrink with it when it loses filters."""

from __future__ import annotations

import operator
from collections import Counter
from dataclasses import dataclass

import torch
from torch import fx, nn
from torch.nn import functional as F

from bcbp.tracing import UntraceableError, module_of, trace

# Operations that keep channels apart and turn a channel of zeros into a channel of zeros.
_ELEMENTWISE = (nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.Hardswish, nn.SiLU, nn.GELU, nn.ELU, nn.Tanh)
_POOLS = (nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d)
_ELEMENTWISE_CALLS = {
    *(torch.relu, torch.tanh, F.relu, F.relu6, F.leaky_relu, F.hardswish, F.silu, F.gelu, F.elu, F.tanh),
    *("relu", "tanh", "contiguous"),
}
_POOL_CALLS = {
    *(F.max_pool2d, torch.max_pool2d, F.avg_pool2d, F.adaptive_avg_pool2d, F.adaptive_max_pool2d),
}


@dataclass(frozen=True)
class ChannelPath:
    """The way of a layer's outputs: modules `between` have weights per channel, `consumers` read them.

    In `conv1 - bn1 - relu - conv2`, conv1 has `between` ("bn1",) and `consumers` ("conv2",).
    """

    between: tuple[str, ...]
    consumers: tuple[str, ...]


def channel_paths(module: nn.Module, input_shape: tuple[int, ...] | None = None) -> dict[str, ChannelPath]:
    """The path of every inner layer: one whose channels reach only layers that can drop them.

    A sum, a concatenation, an operation outside the lists above, a module that is called twice or the
    output of the network on the way, and the layer is not inner. {} for a network that cannot be traced.
    """
    try:
        traced = trace(module, input_shape)
    except UntraceableError:
        return {}
    calls = Counter(node.target for node in traced.graph.nodes if node.op == "call_module")
    paths = {}
    for node in traced.graph.nodes:
        if _is_producer(module_of(node)) and calls[node.target] == 1:
            path = _follow(node, calls)
            if path is not None and path.consumers:
                paths[str(node.target)] = path
    return paths


def before_norms(module: nn.Module) -> frozenset[str]:
    """The modules whose output a batch norm alone reads, so that its mean changes nothing behind the norm."""
    try:
        traced = trace(module)
    except UntraceableError:
        return frozenset()
    return frozenset(
        str(node.target)
        for node in traced.graph.nodes
        if node.op == "call_module"
        and len(node.users) == 1
        and isinstance(module_of(next(iter(node.users))), nn.modules.batchnorm._BatchNorm)
    )


def _is_producer(child: nn.Module | None) -> bool:
    return _stores_weight(child) and (
        isinstance(child, nn.Linear) or (isinstance(child, nn.Conv2d) and child.groups == 1)
    )


def _stores_weight(child: nn.Module | None) -> bool:
    """False for a weight computed by a parametrization: there is nothing to take rows from."""
    return child is not None and "weight" in child._parameters


def _follow(start: fx.Node, calls: Counter[object]) -> ChannelPath | None:
    """The path from `start`, or None where something on it cannot lose a channel."""
    producer = module_of(start)
    assert isinstance(producer, nn.Conv2d | nn.Linear)
    channels = len(producer.weight)
    between: list[str] = []
    consumers: list[str] = []
    # A value is "planes" [N, C, H, W], or "rows" [..., C * n] behind a flatten or a Linear layer.
    pending = [(start, "planes" if isinstance(producer, nn.Conv2d) else "rows")]
    while pending:
        value, form = pending.pop()
        for user in value.users:
            child = module_of(user)
            if _only_asks_for_batch(user):
                continue
            if child is not None and calls[user.target] != 1 and child.state_dict():
                return None
            if _reads(child, form, channels):
                consumers.append(str(user.target))
            elif _is_per_channel(child, form, channels):
                between.append(str(user.target))
                pending.append((user, form))
            elif _passes(user, child, form):
                pending.append((user, form))
            elif form == "planes" and _flattens(user, child):
                pending.append((user, "rows"))
            else:
                return None
    return ChannelPath(tuple(between), tuple(consumers))


def _reads(child: nn.Module | None, form: str, channels: int) -> bool:
    """Whether the module is a layer that sums over the channels."""
    if form == "planes":
        return isinstance(child, nn.Conv2d) and _is_producer(child)
    return isinstance(child, nn.Linear) and _is_producer(child) and child.in_features % channels == 0


def _is_per_channel(child: nn.Module | None, form: str, channels: int) -> bool:
    """Whether the module is a batch norm or depth-wise convolution: one set of weights for each channel."""
    if form == "rows":
        return isinstance(child, nn.BatchNorm1d) and child.num_features == channels
    if isinstance(child, nn.Conv2d):
        return _stores_weight(child) and child.groups == child.in_channels == child.out_channels > 1
    return isinstance(child, nn.BatchNorm2d)


def _passes(node: fx.Node, child: nn.Module | None, form: str) -> bool:
    """Whether the operation maps each channel to itself, without weights."""
    if child is not None:
        return isinstance(child, _ELEMENTWISE) or (form == "planes" and isinstance(child, _POOLS))
    if node.op not in ("call_function", "call_method"):
        return False
    return node.target in _ELEMENTWISE_CALLS or (form == "planes" and node.target in _POOL_CALLS)


def _flattens(node: fx.Node, child: nn.Module | None) -> bool:
    """Whether the operation turns [N, C, H, W] into [N, C * H * W], or averages H and W away."""
    if isinstance(child, nn.Flatten):
        return (child.start_dim, child.end_dim) == (1, -1)
    arguments = [*node.args[1:], *node.kwargs.values()]
    if node.target in (torch.flatten, "flatten"):
        return arguments == [1]
    if node.target == "reshape":
        return len(arguments) == 2 and isinstance(arguments[1], int) and arguments[1] == -1
    if node.target in (torch.mean, "mean"):
        return arguments in ([[2, 3]], [[-2, -1]], [(2, 3)], [(-2, -1)])
    return False


def _only_asks_for_batch(node: fx.Node) -> bool:
    """Whether the node reads nothing but the number of images, as in `x.view(x.size(0), -1)`."""
    if node.target == "size":
        return node.args[1:] == (0,)
    if node.target is getattr and node.args[1:] == ("shape",):
        return all(user.target is operator.getitem and user.args[1] == 0 for user in node.users)
    return False
