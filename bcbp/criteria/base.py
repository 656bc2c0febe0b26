"""What a criterion is: scores for the two units that patterns remove."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from bcbp.geometry import TileShape
from bcbp.table import Entry


class Criterion(Entry, Protocol):
    """Scores are float32 and not negative; the higher, the more worth keeping.

    `filters_only` criteria have no column scores: `columns` raises SpecError. `generator` is seeded per
    layer; only criteria that draw at random use it.
    """

    @property
    def filters_only(self) -> bool: ...

    def columns(self, weight: Tensor, tile: TileShape, generator: torch.Generator) -> Tensor:
        """Scores [tiles, K] of the column vectors of `weight` [M, K]."""
        ...

    def filters(self, weight: Tensor, generator: torch.Generator) -> Tensor:
        """Scores [M] of the filters, the rows of `weight` [M, K]."""
        ...
