"""The pruned network as dense modules with zeros in them: the meaning of a plan."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from bcbp.channels import channel_paths
from bcbp.errors import SpecError
from bcbp.intake.model import LoadedModel
from bcbp.plan import LayerPlan, PruningPlan


def apply_plan(model: LoadedModel, plan: PruningPlan) -> nn.Module:
    """A copy of the model with every weight zeroed that the plan removes; the model itself is never touched.

    Raises SpecError when the plan was made for another model.
    """
    if plan.model_digest != model.digest:
        raise SpecError(
            f"Expected a plan for {model.name} ({model.digest[:12]}); got one for {plan.model_digest[:12]}. "
            "Plan again for this model."
        )
    return masked_copy(model.module, plan)


def masked_copy(module: nn.Module, plan: PruningPlan | None) -> nn.Module:
    """A copy of `module` in eval mode, without the weights that `plan` removes; None removes nothing.

    Under filter pruning a removed filter vanishes altogether: its bias, and its channel in the batch norms
    and depth-wise convolutions on its path, are zeroed too, so that the layers behind it read zeros.
    Applying a plan twice is applying it once. Raises SpecError for a layer that `module` does not have.
    """
    masked = copy.deepcopy(module).eval()
    if plan is None:
        return masked
    layers = dict(masked.named_modules())
    with torch.no_grad():
        for planned in plan:
            weight = _planned_weight(layers.get(planned.name), planned)
            weight.mul_(planned.mask.dense().view_as(weight))
        if plan.spec.pattern == "filter":
            _silence_filters(masked, plan)
    return masked


def _planned_weight(layer: nn.Module | None, planned: LayerPlan) -> Tensor:
    if isinstance(layer, nn.Conv2d | nn.Linear):
        shape = (layer.weight.shape[0], layer.weight[0].numel())
        if shape == planned.shape:
            return layer.weight
        found = f"{shape[0]} x {shape[1]}"
    else:
        found = "no such layer" if layer is None else f"a {type(layer).__name__}"
    raise SpecError(
        f"Expected {planned.shape[0]} x {planned.shape[1]} weights in {planned.name}; got {found}. "
        "Plan again for this module."
    )


def _silence_filters(masked: nn.Module, plan: PruningPlan) -> None:
    paths = channel_paths(masked)
    for planned in plan:
        removed = ~planned.mask.rows
        if removed.any() and planned.name in paths:
            for name in (planned.name, *paths[planned.name].between):
                for value in masked.get_submodule(name).parameters(recurse=False):
                    value[removed] = 0
