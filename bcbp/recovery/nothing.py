"""No recovery: the raw accuracy right after pruning."""

from __future__ import annotations

import copy
from dataclasses import dataclass

from torch import nn

from bcbp.data import ImageSet


@dataclass(frozen=True)
class NoRecovery:
    name: str = "none"
    title: str = "None"
    description: str = "Leaves the pruned network as it is. [our definition]"

    def apply(self, module: nn.Module, images: ImageSet) -> nn.Module:
        return copy.deepcopy(module).eval()


NOTHING = NoRecovery()
