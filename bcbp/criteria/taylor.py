"""Taylor: what the loss of the whole network changes, to first order, when a unit goes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from bcbp.calibration import GRADIENTS
from bcbp.criteria.base import Evidence
from bcbp.geometry import TileShape


@dataclass(frozen=True)
class TaylorCriterion:
    """Root of the mean over batches of `(Σ w g)² / n`, n weights in a unit, g the gradient of a batch.

    Squared before the mean over batches (Molchanov et al., CVPR 2019, arXiv 1906.10771): a trained network's
    mean gradient is next to zero and would rank by chance.
    """

    name: str
    title: str
    description: str
    filters_only: bool = False
    needs: str = GRADIENTS

    def columns(self, evidence: Evidence, tile: TileShape) -> Tensor:
        change = _change(evidence)
        return torch.stack([_score(panel.sum(1), panel.shape[1]) for panel in change.split(tile.rows, dim=1)])

    def filters(self, evidence: Evidence) -> Tensor:
        return _score(_change(evidence).sum(2), evidence.weight.shape[1])

    def weights(self, evidence: Evidence) -> Tensor:
        """Each weight for itself: in a tile the changes may also cancel."""
        return _change(evidence).square().mean(0)


def _change(evidence: Evidence) -> Tensor:
    """First-order change of each batch's loss with each weight: float32 [batches, M, K]."""
    assert isinstance(evidence.stats, Tensor)
    return evidence.weight.float() * evidence.stats


def _score(sums: Tensor, weights: int) -> Tensor:
    return (sums.square().mean(0) / weights).sqrt()


TAYLOR = TaylorCriterion(
    name="taylor",
    title="Taylor (first order)",
    description=(
        "Weight times gradient, summed over the unit and squared: how far the loss of the whole network "
        "moves, to first order, on labelled calibration images. [Molchanov et al., 2019; our definition for "
        "columns of tiles]"
    ),
)
