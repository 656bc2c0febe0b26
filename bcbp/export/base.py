"""What is exported, and what an export is."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Protocol

import torch
from torch import nn

from bcbp.export.portable import exported, portable
from bcbp.intake.model import LoadedModel
from bcbp.plan import PruningPlan
from bcbp.preprocessing import Adjustment
from bcbp.recovery.tuning import Tuning
from bcbp.table import Entry


@dataclass(frozen=True, eq=False)
class Pruned:
    """A pruned network: `module`, in eval mode with its zeros in place, came of `plan` by `recovery`.

    `tuning` are the settings of fine-tuning, where the plan's recovery asks for it; `data` and `adjustment`
    name the images, as in a request.
    """

    model: LoadedModel
    plan: PruningPlan
    module: nn.Module
    recovery: str
    tuning: Tuning = field(default_factory=Tuning)
    data: str | None = None
    adjustment: Adjustment = field(default_factory=Adjustment)

    @cached_property
    def portable(self) -> nn.Module:
        """The network with its pruned layers packed. Raises ModelError where it cannot be written down."""
        return portable(self.module, self.plan, self.model.input_shape)

    @cached_property
    def program(self) -> torch.export.ExportedProgram:
        """The packed network as a program for any batch size. Raises ModelError where there is none."""
        return exported(self.portable, self.model.input_shape)

    def metadata(self) -> dict[str, str]:
        """What every file says of where it comes from."""
        spec = self.plan.spec
        return {
            "model": self.model.name,
            "dense_digest": self.model.digest,
            "pattern": spec.pattern,
            "tile": str(spec.tile),
            "sparsity": f"{self.plan.sparsity:.6f}",
            "recovery": self.recovery,
        }


class Export(Entry, Protocol):
    """One thing to take away: one or more files that others can use.

    `needs` are libraries beyond those of this project.
    """

    @property
    def needs(self) -> tuple[str, ...]: ...

    def write(self, pruned: Pruned, folder: Path) -> tuple[Path, ...]:
        """Write it into `folder`; the files. Raises ModelError with the reason where there is none."""
        ...
