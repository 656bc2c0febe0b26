"""The control: scores drawn at random. A criterion that does not beat it says nothing."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from bcbp.criteria.base import Evidence
from bcbp.geometry import TileShape


@dataclass(frozen=True)
class RandomCriterion:
    """Uniform scores in [0, 1) from the layer's seeded generator; weights are not looked at."""

    name: str
    title: str
    description: str
    filters_only: bool = False
    needs: str = ""

    def columns(self, evidence: Evidence, tile: TileShape) -> Tensor:
        filters, columns = evidence.weight.shape
        return torch.rand(tile.count(filters), columns, generator=evidence.generator)

    def filters(self, evidence: Evidence) -> Tensor:
        return torch.rand(len(evidence.weight), generator=evidence.generator)

    def weights(self, evidence: Evidence) -> Tensor:
        """All alike: chance draws for whole columns."""
        return torch.ones_like(evidence.weight, dtype=torch.float32)


RANDOM = RandomCriterion(
    name="random",
    title="Random (control)",
    description="Draws scores at random from the seed: what any useful criterion has to beat. [our control]",
)
