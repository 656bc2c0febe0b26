"""Refit what is left of each layer in closed form, layer by layer, and re-estimate batch norms on the way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bcbp.calibration import IMAGES, Layer, Moments, MomentStream, groups_of, wide_reason
from bcbp.channels import before_norms
from bcbp.masking import apply_plan
from bcbp.patterns import PATTERNS
from bcbp.plan import LayerPlan
from bcbp.recovery.base import Recovered, RecoveryTask
from bcbp.recovery.batchnorm import norm_layers
from bcbp.recovery.solve import factorisation_work, refit
from bcbp.walk import Walk, called_once, waiting_bytes, walk

_BATCH = 128
# Values of all images wait between two operations, of the original and of the pruned network.
_WAITING_BYTES = 2 * 1024**3
# Single weights need a factorisation per row: this many multiply-adds take about a minute on two cores.
_MOST_WORK = 2e12


@dataclass(frozen=True)
class RefitRecovery:
    """Least squares on what each layer is given now, against what the original layer gave.

    Layers go in the order of execution, so each also makes up for the changed inputs that the layers before
    it leave. Where the bias is free, because the layer has one or a batch norm follows, the means are
    left to it and the weights are fitted to the rest. Every pattern gets the same images, positions and damping.
    """

    name: str = "refit"
    title: str = "Refit the weights left"
    description: str = (
        "Recomputes the weights that are left of each pruned layer, in closed form, so that its outputs on "
        "calibration images come nearest to the original ones; batch norms are re-estimated on the way. "
        "Nothing is trained. [published idea; our formulas]"
    )

    def apply(self, task: RecoveryTask) -> Recovered:
        module = apply_plan(task.model, task.plan)
        planned = {layer.name: layer for layer in task.plan}
        reasons = {name: reason for name, layer in planned.items() if (reason := _decline(module, layer))}
        batches = _batches(task)
        stops = called_once(module, batches[0][:1], {*planned, *norm_layers(module)} - set(reasons))
        reasons |= dict.fromkeys(
            planned.keys() - set(stops) - reasons.keys(), "it is not called exactly once"
        )
        original = walk(task.model.module, batches, task.should_stop)
        current = walk(module, batches, task.should_stop)
        free = before_norms(module)
        for done, name in enumerate(stops):
            task.tell(done / len(stops))
            if name not in planned:
                _re_estimate(module.get_submodule(name), current.inputs(name))
                continue
            moments = _moments(task, name, original, current)
            _refit_layer(task, module, planned[name], moments=moments, free=name in free)
        return Recovered(module, tuple(f"{name} is not refitted: {why}." for name, why in reasons.items()))


def _batches(task: RecoveryTask) -> list[Tensor]:
    """The images of the refit: IMAGES, or as many as fit while they wait."""
    per_image = 2 * waiting_bytes(task.model.module, task.images.inputs(0, 1))
    count = min(IMAGES, len(task.images), max(_BATCH, _WAITING_BYTES // per_image))
    return list(task.images.inputs(0, count).split(_BATCH))


def _decline(module: nn.Module, planned: LayerPlan) -> str | None:
    """Why a layer keeps its masked weights; None if it can be refitted."""
    layer = module.get_submodule(planned.name)
    assert isinstance(layer, Layer)
    if reason := wide_reason(layer):
        return reason
    work = factorisation_work(planned.mask, groups_of(layer))
    if work <= _MOST_WORK:
        return None
    return f"its rows share no kept set, and {work:.1e} multiply-adds of factorisation would take minutes"


def _moments(task: RecoveryTask, name: str, original: Walk, current: Walk) -> Moments:
    layer = task.model.module.get_submodule(name)
    assert isinstance(layer, Layer)
    count = sum(len(batch) for batch in _batches(task))
    stream = MomentStream(layer, count, paired=True)
    for before, now in zip(original.inputs(name), current.inputs(name), strict=True):
        stream.add(now, before)
    return stream.moments()


@torch.no_grad()
def _refit_layer(
    task: RecoveryTask, module: nn.Module, planned: LayerPlan, *, moments: Moments, free: bool
) -> None:
    """New weights for one layer; where it has a bias, the bias takes up the change of the mean."""
    layer, weight = module.get_submodule(planned.name), task.model.weight(planned.name)
    assert isinstance(layer, Layer)
    has_bias = layer.bias is not None
    fitted = refit(weight, planned.mask, moments.centred if free or has_bias else moments)
    layer.weight.copy_(fitted.view_as(layer.weight))
    if layer.bias is not None:
        rest = _output_mean(weight, moments.original_mean) - _output_mean(fitted, moments.mean)
        if PATTERNS[task.plan.spec.pattern].changes_shapes:  # a filter that is gone gives nothing
            rest *= planned.mask.rows
        layer.bias += rest


def _output_mean(weight: Tensor, mean: Tensor) -> Tensor:
    """W μ [M], group by group."""
    return torch.einsum("gmk,gk->gm", weight.view(len(mean), -1, weight.shape[1]), mean).flatten()


@torch.no_grad()
def _re_estimate(norm: nn.Module, inputs: Iterator[Tensor]) -> None:
    """Mean and unbiased variance of each channel over all inputs [N, C, ...]."""
    assert isinstance(norm, nn.modules.batchnorm._BatchNorm)
    assert norm.running_mean is not None and norm.running_var is not None
    count, total, squares = 0, torch.zeros(()), torch.zeros(())
    for batch in inputs:
        values = batch.transpose(0, 1).flatten(1).double()
        count += values.shape[1]
        total = total + values.sum(1)
        squares = squares + values.square().sum(1)
    mean = total / count
    norm.running_mean.copy_(mean)
    norm.running_var.copy_((squares - count * mean.square()).clamp_min(0) / max(count - 1, 1))


REFIT = RefitRecovery()
