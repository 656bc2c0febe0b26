"""Re-estimate batch norm statistics: pruning shifts what layers see, and the old ones no longer fit."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import nn

from bcbp.data import ImageSet
from bcbp.errors import DataError
from bcbp.norms import keeps_statistics, re_estimating

# Large enough that the variance of a channel is stable; the mean over all batches is taken anyway.
_BATCH = 250


@dataclass(frozen=True)
class BatchNormRecovery:
    """Mean and variance of each batch norm layer become their average over batches of calibration images.

    All layers are re-estimated in the same passes. Weights, and so the zeros, do not change; a network
    without batch norm comes back equal. The test images are refused.
    """

    name: str = "batchnorm"
    title: str = "Re-estimate BatchNorm"
    description: str = (
        "Measures the mean and variance of every batch norm layer again, on calibration images of the "
        "training set. No weight changes, nothing is trained; the result is taken even where it does not "
        "help. [our definition]"
    )

    def apply(self, module: nn.Module, images: ImageSet) -> nn.Module:
        if images.part == "test":
            raise DataError(
                "Expected calibration images for a recovery; got the test images. Pass another part."
            )
        recovered = copy.deepcopy(module).eval()
        norms = [child for child in recovered.modules() if keeps_statistics(child)]
        if norms:
            with re_estimating(norms):
                _run(recovered, images)
        return recovered


def _run(module: nn.Module, images: ImageSet) -> None:
    """Every image once, in batches of one size, so that each counts the same; a smaller rest is left out."""
    batch = min(_BATCH, len(images))
    with torch.no_grad():
        for start in range(0, len(images) - batch + 1, batch):
            module(images.inputs(start, start + batch))


BATCHNORM = BatchNormRecovery()
