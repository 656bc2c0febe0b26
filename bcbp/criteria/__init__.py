"""The table of criteria: how important a column of a tile, or a filter, is. One file and one line each."""

from bcbp.criteria.base import Criterion
from bcbp.criteria.chance import RANDOM
from bcbp.criteria.median import FPGM
from bcbp.criteria.norms import L1, L2

CRITERIA: dict[str, Criterion] = {criterion.name: criterion for criterion in (L2, L1, FPGM, RANDOM)}

__all__ = ["CRITERIA", "Criterion"]
