"""Masks as a file that restores the plan (see `bcbp.mask_file`)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bcbp.export.base import Pruned
from bcbp.mask_file import write_masks


@dataclass(frozen=True)
class Masks:
    name: str = "masks"
    title: str = "Masks"
    description: str = (
        "masks.safetensors: for each layer LAYER.keep, which columns every tile keeps (bool, tiles x K), and "
        "LAYER.rows, which filters are kept (bool, M), LAYER.order, which filters share a tile (int64, M). "
        "Dropped on Tune or given to --masks it is the plan again, and so it is by bcbp.read_masks(file, "
        "model); each checks that the dense weights are the same."
    )
    needs: tuple[str, ...] = ()

    def write(self, pruned: Pruned, folder: Path) -> tuple[Path, ...]:
        path = folder / "masks.safetensors"
        write_masks(pruned.plan, path, pruned.metadata())
        return (path,)


MASKS = Masks()
