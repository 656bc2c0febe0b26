"""Size and work of a network, dense or under a plan."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from bcbp.intake.model import LoadedModel
from bcbp.patterns import PATTERNS
from bcbp.plan import PruningPlan
from bcbp.surgery import shrink


@dataclass(frozen=True)
class LayerCall:
    """One call of a Conv2d or Linear for one image.

    `macs` are multiply-accumulates of the dense layer, `read` and `written` values of its input and output.
    """

    name: str
    macs: int
    read: int
    written: int
    weights: int


def layer_calls(module: nn.Module, input_shape: tuple[int, ...]) -> tuple[LayerCall, ...]:
    """Every call of a convolution or Linear layer in a forward pass of one image, in order."""
    calls: list[LayerCall] = []
    hooks = [
        child.register_forward_hook(
            lambda layer, given, named, output, name=name: calls.append(  # type: ignore[misc]
                _call(name, layer, (*given, *named.values())[0], output)
            ),
            with_kwargs=True,
        )
        for name, child in module.named_modules()
        if isinstance(child, nn.Conv2d | nn.Linear)
    ]
    try:
        with torch.inference_mode():
            module(torch.zeros(1, *input_shape))
    finally:
        for hook in hooks:
            hook.remove()
    return tuple(calls)


def _call(name: str, layer: nn.Module, given: Tensor, output: Tensor) -> LayerCall:
    """Every output value is a dot product with one filter."""
    weight = layer.weight
    assert isinstance(weight, Tensor)
    macs = output.numel() * weight[0].numel()
    return LayerCall(name, macs, given.numel(), output.numel(), weight.numel())


def network_macs(model: LoadedModel) -> int:
    """Multiply-accumulates of all matrix products for one image: every layer's, and attention's."""
    counter = FlopCounterMode(display=False)
    # The counter sees the products that attention is made of, not its kernels in one piece.
    with torch.no_grad(), _plain_attention(), counter:
        model.module(torch.zeros(1, *model.input_shape))
    return int(counter.get_total_flops()) // 2


@contextmanager
def _plain_attention() -> Iterator[None]:
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


def removed_macs(model: LoadedModel, plan: PruningPlan) -> int:
    """Multiply-accumulates per image that a plan removes."""
    removed = 0
    for planned in plan:
        info = model.layer(planned.name)
        removed += (info.weights - planned.mask.kept) * (info.macs // info.weights)
    return removed


def network_parameters(module: nn.Module) -> int:
    """All learned values: weights, biases, and scale and shift of norms."""
    return sum(parameter.numel() for parameter in module.parameters())


def kept_parameters(model: LoadedModel, plan: PruningPlan) -> int:
    """Learned values that remain: those of the smaller network, or all but the masked weights."""
    if PATTERNS[plan.spec.pattern].changes_shapes:
        return network_parameters(shrink(model.module, plan))
    removed = sum(planned.shape[0] * planned.shape[1] - planned.mask.kept for planned in plan)
    return network_parameters(model.module) - removed
