"""What a recovery is."""

from __future__ import annotations

from typing import Protocol

from torch import nn

from bcbp.data import ImageSet


class Recovery(Protocol):
    """`apply` gives a recovered copy in eval mode; the pruned zeros stay zero."""

    @property
    def name(self) -> str: ...

    @property
    def title(self) -> str: ...

    @property
    def description(self) -> str: ...

    def apply(self, module: nn.Module, images: ImageSet) -> nn.Module: ...
