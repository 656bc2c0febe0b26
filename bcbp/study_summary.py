"""What the rows of a study say: mean accuracy over the seeds, and differences on the same images."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any

import torch
from torch import Tensor

from bcbp.study import unpacked_hits
from kernels.measure import Interval

Json = dict[str, Any]
_Z95 = 1.959963984540054


@dataclass(frozen=True, order=True)
class Line:
    """A method with its tile, as a study lists it."""

    method: str
    tile: int

    def rows(self, rows: Iterable[Json], ratio: float, *, rung: str | None = None) -> list[Json]:
        """Its rows at a ratio, one a seed: of the rung kept on validation images, or of the one named."""
        own = [row for row in rows if (row["method"], row["tile"], row["ratio"]) == (*self._key, ratio)]
        return [row for row in own if (row["rung"] == rung if rung else row["kept"])]

    @property
    def _key(self) -> tuple[str, int]:
        return self.method, self.tile


def lines_of(rows: Iterable[Json]) -> list[Line]:
    """The pruned methods in the order in which they were studied."""
    return list(dict.fromkeys(Line(row["method"], row["tile"]) for row in rows if "kept" in row))


def mean_accuracy(rows: Sequence[Json]) -> tuple[float, Interval]:
    """The mean share over the seeds, with the lowest and the highest."""
    shares = [row["correct"] / row["total"] for row in rows]
    return sum(shares) / len(shares), (min(shares), max(shares))


def difference(rows: Sequence[Json], others: Sequence[Json]) -> tuple[float, Interval]:
    """How much higher the accuracy of `rows` is than that of `others`, a share with its 95 % interval.

    Both are means over their seeds of answers to the same images, and images are the sample: the interval is
    that of a mean of paired differences.
    """
    change = _answers(rows) - _answers(others)
    mean = float(change.mean())
    reach = _Z95 * float(change.std()) / sqrt(len(change))
    return mean, (mean - reach, mean + reach)


def _answers(rows: Sequence[Json]) -> Tensor:
    """The share of seeds with which each image is answered right, float64 [images]."""
    return torch.stack([unpacked_hits(row["hits"], row["total"]) for row in rows]).double().mean(0)
