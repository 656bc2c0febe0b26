"""No recovery: the raw accuracy right after pruning."""

from __future__ import annotations

from dataclasses import dataclass

from bcbp.masking import apply_plan
from bcbp.recovery.base import Recovered, RecoveryTask


@dataclass(frozen=True)
class NoRecovery:
    name: str = "none"
    title: str = "Masked only"
    description: str = "Leaves the pruned network as it is. [our definition]"

    def apply(self, task: RecoveryTask) -> Recovered:
        return Recovered(apply_plan(task.model, task.plan))


NOTHING = NoRecovery()
