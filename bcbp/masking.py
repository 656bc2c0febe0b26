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

    Applying a plan twice is applying it once. Raises SpecError for a layer that `module` does not have.
    """
    masked = copy.deepcopy(module).eval()
    if plan is not None:
        parameters = dict(masked.named_parameters())
        with torch.no_grad():
            for name, removed in removed_parameters(masked, plan).items():
                parameters[name].masked_fill_(removed, 0)
    return masked


def removed_parameters(module: nn.Module, plan: PruningPlan) -> dict[str, Tensor]:
    """What `plan` removes of the parameters of `module`, by name: bool, in the parameter's shape.

    Under filter pruning a removed filter vanishes altogether: its bias, and its channel in the batch norms
    and depth-wise convolutions on its path, go too, so that the layers behind it read zeros.
    Raises SpecError for a layer that `module` does not have.
    """
    layers, removed = dict(module.named_modules()), {}
    for planned in plan:
        weight = _planned_weight(layers.get(planned.name), planned)
        removed[f"{planned.name}.weight"] = ~planned.mask.dense().view_as(weight)
    if plan.spec.pattern == "filter":
        removed |= _silenced(module, plan)
    return removed


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


def _silenced(module: nn.Module, plan: PruningPlan) -> dict[str, Tensor]:
    """Every parameter of a removed filter, its own and those of its channel on the way to the next layers."""
    paths, silenced = channel_paths(module), {}
    for planned in plan:
        rows = ~planned.mask.rows
        if rows.any() and planned.name in paths:
            for affected in (planned.name, *paths[planned.name].between):
                for name, value in module.get_submodule(affected).named_parameters(recurse=False):
                    gone = rows.view(-1, *(1,) * (value.ndim - 1)).expand_as(value)
                    silenced[f"{affected}.{name}"] = gone
    return silenced
