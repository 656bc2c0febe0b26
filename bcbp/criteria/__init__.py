"""The table of criteria: how important a column of a tile, or a filter, is. One file and one line each."""

from bcbp.criteria.base import Criterion, Evidence
from bcbp.criteria.chance import RANDOM
from bcbp.criteria.greedy import GREEDY
from bcbp.criteria.inputs import ACTIVATION, OBS
from bcbp.criteria.median import FPGM
from bcbp.criteria.norms import L1, L2
from bcbp.criteria.taylor import TAYLOR

CRITERIA: dict[str, Criterion] = {
    criterion.name: criterion for criterion in (L2, L1, ACTIVATION, OBS, GREEDY, TAYLOR, FPGM, RANDOM)
}

__all__ = ["CRITERIA", "Criterion", "Evidence"]
