"""Size and work of a network, dense or under a plan."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bcbp.intake.model import LoadedModel
from bcbp.patterns import PATTERNS
from bcbp.plan import PruningPlan
from bcbp.surgery import shrink


def network_macs(model: LoadedModel) -> int:
    """Multiply-accumulates of all convolutions and Linear layers for one image, prunable or not."""
    counted: list[int] = []
    hooks = [
        child.register_forward_hook(lambda layer, _, output: counted.append(_layer_macs(layer, output)))
        for child in model.module.modules()
        if isinstance(child, nn.Conv2d | nn.Linear)
    ]
    try:
        with torch.inference_mode():
            model.module(torch.zeros(1, *model.input_shape))
    finally:
        for hook in hooks:
            hook.remove()
    return sum(counted)


def _layer_macs(layer: nn.Module, output: Tensor) -> int:
    """Every output value is a dot product with one filter."""
    weight = layer.weight
    assert isinstance(weight, Tensor)
    return output.numel() * weight[0].numel()


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
