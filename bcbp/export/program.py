"""The packed network as a program of torch.export."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from bcbp.export.base import Pruned


@dataclass(frozen=True)
class Program:
    name: str = "program"
    title: str = "torch.export program"
    description: str = (
        "program.pt2: the packed network with its sparse operator, for any batch size. Needs torch and this "
        "project's kernels folder: import kernels.pruned_conv, then torch.export.load(...).module(). It "
        "compiles with torch.compile without graph breaks."
    )
    needs: tuple[str, ...] = ()

    def write(self, pruned: Pruned, folder: Path) -> tuple[Path, ...]:
        path = folder / "program.pt2"
        torch.export.save(pruned.program, path)
        return (path,)


PROGRAM = Program()
