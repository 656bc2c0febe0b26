"""What architectures call their tensors, and their shapes: a table that `tools/signatures.py` makes."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

TABLE = Path(__file__).resolve().parent.parent.parent / "assets" / "signatures.json.gz"
COUNTER = "num_batches_tracked"  # of batch norms: absent from old files, and of no matter
CLASSES = 0  # stands in a shape for the number of classes

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Signature:
    """An architecture by the names and shapes of its tensors, and the images (C, H, W) that it takes."""

    name: str
    input_shape: tuple[int, int, int]
    shapes: dict[str, Shape]

    @property
    def head(self) -> tuple[str, ...]:
        """The tensors whose shape depends on the number of classes."""
        return tuple(name for name, shape in self.shapes.items() if CLASSES in shape)


@cache
def signatures() -> dict[str, Signature]:
    """Every architecture that can be recognised, by name."""
    table = json.loads(gzip.decompress(TABLE.read_bytes()))
    return {
        name: Signature(
            name, tuple(line["input"]), {key: tuple(shape) for key, shape in line["tensors"].items()}
        )
        for name, line in table.items()
    }


def shapes_of(build: Callable[[int], nn.Module]) -> dict[str, Shape]:
    """Names and shapes of `build(classes)`'s tensors, with CLASSES where two numbers of classes differ."""
    first, second = (build(classes).state_dict() for classes in (1000, 7))
    return {
        name: tuple(
            size if size == other else CLASSES
            for size, other in zip(value.shape, second[name].shape, strict=True)
        )
        for name, value in first.items()
        if not name.endswith(COUNTER)
    }
