"""Balanced column-wise block pruning: models in, pruned models and measurements out.

The names below are the front door; everything else has its own room. Each is imported when it is first asked
for: the process that reads files of strangers goes through here, too, and does without PyTorch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from bcbp.errors import BcbpError
    from bcbp.experiment import CompareRequest, compare
    from bcbp.intake.architectures import load_file, load_model
    from bcbp.intake.model import LoadedModel, adopt
    from bcbp.mask_file import read_masks
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
    "load_file",
    "load_model",
    "make_plan",
    "read_masks",
    "recover",
]

_ROOMS = {
    "errors": ("BcbpError",),
    "experiment": ("CompareRequest", "compare"),
    "intake.architectures": ("load_file", "load_model"),
    "intake.model": ("LoadedModel", "adopt"),
    "mask_file": ("read_masks",),
    "network": ("PackedNetwork", "apply_plan", "convert"),
    "plan": ("PruningPlan",),
    "planning": ("Planner", "make_plan"),
    "recovering": ("recover",),
    "spec": ("PruneSpec",),
}


def __getattr__(name: str) -> object:
    for room, names in _ROOMS.items():
        if name in names:
            return getattr(import_module(f"bcbp.{room}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
