"""Magnitude criteria: the mean absolute or root mean square weight of a unit."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from bcbp.geometry import TileShape


@dataclass(frozen=True)
class NormCriterion:
    """The power mean `(sum |w|^power / n)^(1/power)` over the n weights of a unit, for power 1 or 2.

    Dividing by n makes ragged tiles, and layers of different size, comparable under one threshold.

    >>> weight = torch.tensor([[3.0, 0.0], [4.0, 2.0], [1.0, 5.0]])
    >>> L1.columns(weight, TileShape(2), torch.Generator()).tolist()
    [[3.5, 1.0], [1.0, 5.0]]
    """

    name: str
    title: str
    description: str
    power: int
    filters_only: bool = False

    def columns(self, weight: Tensor, tile: TileShape, generator: torch.Generator) -> Tensor:
        filters, columns = weight.shape
        whole = filters - filters % tile.rows
        panels = self._mean(weight[:whole].reshape(-1, tile.rows, columns), 1)
        if whole == filters:
            return panels
        return torch.cat([panels, self._mean(weight[None, whole:], 1)])

    def filters(self, weight: Tensor, generator: torch.Generator) -> Tensor:
        return self._mean(weight, 1)

    def _mean(self, weight: Tensor, axis: int) -> Tensor:
        if weight.shape[axis] == 1 or self.power == 1:
            return weight.float().abs().mean(axis)
        return weight.float().square().mean(axis).sqrt()


L1 = NormCriterion(
    name="l1",
    title="L1 magnitude",
    description="Keeps the weights with the largest mean absolute value. [our definition]",
    power=1,
)
L2 = NormCriterion(
    name="l2",
    title="L2 magnitude",
    description=(
        "Keeps the weights with the largest root mean square: the L2 norm of a column of a tile, divided by the "
        "square root of its rows. [our definition; the default]"
    ),
    power=2,
)
