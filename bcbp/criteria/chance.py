"""The control: scores drawn at random. A criterion that does not beat it says nothing."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from bcbp.geometry import TileShape


@dataclass(frozen=True)
class RandomCriterion:
    """Uniform scores in [0, 1) from the layer's seeded generator; weights are not looked at."""

    name: str
    title: str
    description: str
    filters_only: bool = False

    def columns(self, weight: Tensor, tile: TileShape, generator: torch.Generator) -> Tensor:
        return torch.rand(tile.count(len(weight)), weight.shape[1], generator=generator)

    def filters(self, weight: Tensor, generator: torch.Generator) -> Tensor:
        return torch.rand(len(weight), generator=generator)


RANDOM = RandomCriterion(
    name="random",
    title="Random (control)",
    description="Draws scores at random from the seed: what any useful criterion has to beat. [our control]",
)
