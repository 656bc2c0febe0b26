"""Balanced column-wise block pruning: models in, pruned models and measurements out.

The names below are the front door; everything else has its own room.
"""

__version__ = "0.1.0"

from bcbp.errors import BcbpError
from bcbp.experiment import CompareRequest, compare
from bcbp.export.masks import read_masks
from bcbp.intake.architectures import load_model
from bcbp.intake.model import LoadedModel, adopt
from bcbp.network import PackedNetwork, apply_plan, convert
from bcbp.plan import PruningPlan
from bcbp.planning import Planner, make_plan
from bcbp.recovering import recover
from bcbp.spec import PruneSpec

__all__ = [
    "BcbpError",
    "CompareRequest",
    "LoadedModel",
    "PackedNetwork",
    "Planner",
    "PruneSpec",
    "PruningPlan",
    "adopt",
    "apply_plan",
    "compare",
    "convert",
    "load_model",
    "make_plan",
    "read_masks",
    "recover",
]
