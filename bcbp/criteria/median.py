"""FPGM: filters close to all others are redundant (He et al., CVPR 2019, arXiv 1811.00250)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from bcbp.criteria.base import Evidence
from bcbp.errors import SpecError
from bcbp.geometry import TileShape

_NO_COLUMNS = (
    "Expected a criterion that scores columns (l2, for instance); got fpgm, which scores whole "
    "filters. Use it with the pattern filter, or choose another criterion."
)


@dataclass(frozen=True)
class MedianCriterion:
    """Score of a filter: its mean distance to the filters of its layer, over sqrt(K).

    The paper sums the distances; the constant factors change no ranking inside a layer, and they make layers
    comparable under one threshold.
    """

    name: str
    title: str
    description: str
    filters_only: bool = True
    needs: str = ""

    def columns(self, evidence: Evidence, tile: TileShape) -> Tensor:
        raise SpecError(_NO_COLUMNS)

    def weights(self, evidence: Evidence) -> Tensor:
        raise SpecError(_NO_COLUMNS)

    def filters(self, evidence: Evidence) -> Tensor:
        weight = evidence.weight.float()
        filters, columns = weight.shape
        distances = torch.cdist(weight, weight)
        return distances.sum(1) / (max(filters - 1, 1) * columns**0.5)


FPGM = MedianCriterion(
    name="fpgm",
    title="FPGM (geometric median)",
    description=(
        "Removes the filters nearest to all others of their layer, as the most replaceable. Scores whole "
        "filters only. [published baseline, not of the BCBP paper]"
    ),
)
