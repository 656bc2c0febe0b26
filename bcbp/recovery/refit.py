"""Refit what is left of each layer in closed form, layer by layer, and re-estimate batch norms on the way."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bcbp.calibration import IMAGES, Layer, Moments, MomentStream, free_biases, groups_of, wide_reason
from bcbp.geometry import TileShape
from bcbp.masking import apply_plan
from bcbp.patterns import PATTERNS
from bcbp.patterns.base import whole_layer
from bcbp.plan import LayerPlan
from bcbp.recovery.base import Recovered, RecoveryTask
from bcbp.recovery.batchnorm import norm_layers
from bcbp.recovery.solve import factorisation_work, fit
from bcbp.walk import called_once, waiting_bytes, walk

_BATCH = 128
# Values of all images wait between two operations, of the original and of the pruned network.
_WAITING_BYTES = 2 * 1024**3
# Single weights need a factorisation per row. An estimate, not measured: about a minute on two cores.
_MOST_WORK = 2e12


@dataclass(frozen=True)
class RefitRecovery:
    """Least squares on what each layer is given now, against what the original layer gave.

    Layers go in the order of execution, so each also makes up for the changed inputs that the layers before
    it leave; those that stay dense behind a pruned one do so too, the classifier above all. Where the bias
    is free, because the layer has one or a batch norm follows, the means are left to it and the weights are
    fitted to the rest. Images, positions and damping are the same for every pattern.
    """

    name: str = "refit"
    title: str = "Refit + BatchNorm"
    description: str = (
        "Recomputes the weights that are left of each layer, in closed form, so that its outputs on "
        "calibration images come nearest to the original ones; batch norms are re-estimated on the way. "
        "Nothing is trained. [published idea; our formulas]"
    )

    def apply(self, task: RecoveryTask) -> Recovered:
        module = apply_plan(task.model, task.plan)
        planned = {layer.name: layer for layer in (*_whole_layers(task), *task.plan)}
        reasons = {name: why for name, layer in planned.items() if (why := _decline(module, layer))}
        first = task.images.inputs(0, 1)
        stops = called_once(module, first, {*planned, *norm_layers(module)} - reasons.keys())
        repeated = [name for name in planned if name not in stops and name not in reasons]
        reasons |= dict.fromkeys(repeated, "it is not called exactly once")
        walked = _Walked(task, module)
        changed = any(planned[name].ratio > 0 for name in reasons)
        for done, name in enumerate(stops):
            task.tell(done / len(stops))
            changed |= name in planned and planned[name].ratio > 0
            if changed and name in planned:
                walked.refit(planned[name])
            elif changed:
                walked.re_estimate(name)
        return Recovered(module, tuple(f"{name} is not refitted: {why}." for name, why in reasons.items()))


def _whole_layers(task: RecoveryTask) -> list[LayerPlan]:
    """Every layer with a full mask, one tile a group: what a layer outside the plan is refitted on."""
    return [whole_layer(info, TileShape(info.rows // info.geometry.groups)) for info in task.model.layers]


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


class _Walked:
    """The original and the pruned `module`, walked through side by side on the same images."""

    def __init__(self, task: RecoveryTask, module: nn.Module) -> None:
        self._task, self._module = task, module
        # IMAGES, or as many as fit while their values wait between two operations.
        per_image = 2 * waiting_bytes(module, task.images.inputs(0, 1))
        self._images = min(IMAGES, len(task.images), max(_BATCH, _WAITING_BYTES // per_image))
        batches = task.images.inputs(0, self._images).split(_BATCH)
        self._original = walk(task.model.module, batches, task.should_stop)
        self._current = walk(module, batches, task.should_stop)
        self._free = free_biases(module)

    @torch.no_grad()
    def refit(self, planned: LayerPlan) -> None:
        """New weights for one layer; where it has a bias, the bias takes up the change of the mean."""
        layer, weight = self._module.get_submodule(planned.name), self._task.model.weight(planned.name)
        assert isinstance(layer, Layer)
        moments = self._moments(planned.name, layer)
        fitted = fit(weight, planned.mask, moments.centred if planned.name in self._free else moments)
        layer.weight.copy_(fitted.view_as(layer.weight))
        if layer.bias is not None:
            rest = _output_mean(weight, moments.original_mean) - _output_mean(fitted, moments.mean)
            if PATTERNS[self._task.plan.spec.pattern].changes_shapes:  # a filter that is gone gives nothing
                rest *= planned.mask.rows
            layer.bias += rest

    def _moments(self, name: str, layer: Layer) -> Moments:
        stream = MomentStream(layer, self._images, paired=True)
        for before, now in zip(self._original.inputs(name), self._current.inputs(name), strict=True):
            stream.add(now, before)
        return stream.moments()

    @torch.no_grad()
    def re_estimate(self, name: str) -> None:
        """A batch norm gets the mean and unbiased variance of its inputs [N, C, ...] as they are now."""
        norm = self._module.get_submodule(name)
        assert isinstance(norm, nn.modules.batchnorm._BatchNorm)
        assert norm.running_mean is not None and norm.running_var is not None
        count, total, squares = 0, torch.zeros(()), torch.zeros(())
        for batch in self._current.inputs(name):
            values = batch.transpose(0, 1).flatten(1).double()
            count += values.shape[1]
            total, squares = total + values.sum(1), squares + values.square().sum(1)
        mean = total / count
        norm.running_mean.copy_(mean)
        norm.running_var.copy_((squares - count * mean.square()).clamp_min(0) / max(count - 1, 1))


def _output_mean(weight: Tensor, mean: Tensor) -> Tensor:
    """W μ [M], group by group."""
    return torch.einsum("gmk,gk->gm", weight.view(len(mean), -1, weight.shape[1]), mean).flatten()


REFIT = RefitRecovery()
