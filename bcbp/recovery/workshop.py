"""Where fine-tuning happens: with which processes, on what device, and where it keeps what it has."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from bcbp.data import Images
from bcbp.recovery.precision import choose_precision
from bcbp.recovery.tuning import Lessons, Tuning
from bcbp.team import ALONE, Team


@dataclass(frozen=True, eq=False)
class Workshop:
    """The `team` that trains, and the `folder` of its checkpoints; None keeps nothing."""

    folder: Path | None = None
    team: Team = ALONE

    def lessons(
        self, module: nn.Module, train: Images, validation: Images, tuning: Tuning
    ) -> tuple[Lessons, dict[str, Any]]:
        """What every method is fine-tuned with, and what the report says of it."""
        choice = choose_precision(module, train, tuning, self.team)
        found = {
            "images": len(train),
            "part": train.part,
            "precision": choice.reason,
            "device": str(self.team.device),
            "processes": self.team.size,
        }
        return Lessons(train, validation, tuning, choice.bf16, self.folder, self.team), found
