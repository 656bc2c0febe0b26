"""Re-estimate batch norm statistics: pruning shifts what layers see, and the old ones no longer fit."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from bcbp.calibration import IMAGES
from bcbp.masking import apply_plan
from bcbp.norms import keeps_statistics, re_estimating
from bcbp.recovery.base import Recovered, RecoveryTask
from kernels.measure import Stopped

# Large enough that the variance of a channel is stable; the mean over all batches is taken anyway.
_BATCH = 256


def norm_layers(module: nn.Module) -> dict[str, nn.Module]:
    """The batch norms of `module` that keep statistics, by name."""
    return {name: child for name, child in module.named_modules() if keeps_statistics(child)}


@dataclass(frozen=True)
class BatchNormRecovery:
    """Mean and variance of each batch norm layer become their average over batches of calibration images.

    All layers are re-estimated in the same passes, on the masked network. Weights, and so the zeros, do not
    change; a network without batch norm comes back masked.
    """

    name: str = "batchnorm"
    title: str = "BatchNorm"
    description: str = (
        "Measures the mean and variance of every batch norm layer again, on calibration images of the "
        "training set. No weight changes, nothing is trained. [our definition]"
    )

    def apply(self, task: RecoveryTask) -> Recovered:
        recovered = apply_plan(task.model, task.plan)
        norms = list(norm_layers(recovered).values())
        if norms:
            with re_estimating(norms):
                _run(recovered, task)
        return Recovered(recovered)


def _run(module: nn.Module, task: RecoveryTask) -> None:
    """The images of the refit once, in batches of one size, so that each counts the same."""
    images = task.images.head(IMAGES)
    batch = min(_BATCH, len(images))
    with torch.no_grad():
        for start in range(0, len(images) - batch + 1, batch):
            if task.should_stop():
                raise Stopped
            module(images.inputs(start, start + batch))
            task.tell((start + batch) / len(images))


BATCHNORM = BatchNormRecovery()
