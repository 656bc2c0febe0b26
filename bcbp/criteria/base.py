"""What a criterion is: scores for the two units that patterns remove."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from bcbp.calibration import LayerStats
from bcbp.geometry import TileShape
from bcbp.table import Entry


@dataclass(frozen=True, eq=False)
class Evidence:
    """What a criterion may look at: `weight` [M, K], a generator seeded per layer for random choices, and
    the `stats` of calibration that the criterion `needs`."""

    weight: Tensor
    generator: torch.Generator
    stats: LayerStats | None = None

    def in_order(self, order: Tensor) -> Evidence:
        """The same layer with its filters in another order, inside their groups."""
        by_weight = isinstance(self.stats, Tensor)  # gradients; moments are those of a group's inputs
        stats = self.stats[:, order] if by_weight else self.stats  # type: ignore[index]
        return replace(self, weight=self.weight[order], stats=stats)


class Criterion(Entry, Protocol):
    """Scores are float32 and not negative; the higher, the more worth keeping.

    `filters_only` criteria have no column scores: `columns` raises SpecError. `needs` names what calibration
    has to collect first (see `bcbp.calibration.collect`); empty for criteria that look at weights alone.
    """

    @property
    def filters_only(self) -> bool: ...

    @property
    def needs(self) -> str: ...

    def columns(self, evidence: Evidence, tile: TileShape) -> Tensor:
        """Scores [tiles, K] of the column vectors of the weight."""
        ...

    def filters(self, evidence: Evidence) -> Tensor:
        """Scores [M] of the filters, the rows of the weight."""
        ...

    def weights(self, evidence: Evidence) -> Tensor:
        """Importance [M, K] of single weights, which adds up over the rows of a tile, as far as it can."""
        ...
