"""What a recovery is."""

from __future__ import annotations

from typing import Protocol

from torch import nn

from bcbp.data import ImageSet
from bcbp.table import Entry


class Recovery(Entry, Protocol):
    """`apply` gives a recovered copy in eval mode; the pruned zeros stay zero."""

    def apply(self, module: nn.Module, images: ImageSet) -> nn.Module: ...
