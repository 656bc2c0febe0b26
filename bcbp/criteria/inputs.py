"""Criteria that weigh each weight by its inputs: what a layer's outputs lose with it, on calibration images.

H = X Xᵀ / N is the Gram matrix of the layer's inputs. Removing column j of a tile alone costs exactly
`‖w_j‖² H_jj` of mean squared output if the rest stays, `‖w_j‖² / [H⁻¹]_jj` if the rest is refitted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from bcbp.calibration import INPUTS, Moments
from bcbp.criteria.base import Evidence
from bcbp.criteria.norms import L2
from bcbp.geometry import TileShape


@dataclass(frozen=True)
class InputCriterion:
    """The square root of the loss per weight of a unit: L2 over weights times `factor` [groups, K].

    A filter has nothing of its own to refit, so its loss is the energy of its output, w H wᵀ, either way.
    """

    name: str
    title: str
    description: str
    factor: Callable[[Moments], Tensor]
    filters_only: bool = False
    needs: str = INPUTS

    def columns(self, evidence: Evidence, tile: TileShape) -> Tensor:
        return L2.columns(self._weighed(evidence), tile)

    def filters(self, evidence: Evidence) -> Tensor:
        moments, weight = evidence.stats, evidence.weight.float()
        assert isinstance(moments, Moments)
        grouped = weight.view(len(moments.gram), -1, weight.shape[1])
        energy = torch.einsum("gmk,gmk->gm", grouped @ moments.gram, grouped).flatten()
        return (energy.clamp_min(0) / weight.shape[1]).sqrt()

    def weights(self, evidence: Evidence) -> Tensor:
        return L2.weights(self._weighed(evidence))

    def _weighed(self, evidence: Evidence) -> Evidence:
        moments, weight = evidence.stats, evidence.weight.float()
        assert isinstance(moments, Moments)
        factor = self.factor(moments).sqrt()
        per_row = factor.repeat_interleave(len(weight) // len(factor), 0)
        return replace(evidence, weight=weight * per_row)


ACTIVATION = InputCriterion(
    name="activation",
    title="Activation-aware",
    description=(
        "Weighs each weight by the mean square of its input on calibration images, around the mean where a "
        "bias or BatchNorm can take that up: the exact loss of the layer's output if no other changes. "
        "[published idea; our definition for columns of tiles]"
    ),
    factor=lambda moments: moments.energy,
)
OBS = InputCriterion(
    name="obs",
    title="OBS (optimal brain surgeon)",
    description=(
        "Weighs each weight by what the other inputs cannot stand in for: the exact loss of the layer's "
        "output if one column goes and the rest is refitted. [Hassibi and Stork, 1993; our definition for "
        "columns of tiles, with 1 % damping]"
    ),
    factor=lambda moments: moments.free_energy,
)
