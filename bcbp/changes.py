"""Which answers pruning changed: a network's predicted classes against those of dense, image by image."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import torch
from torch import Tensor

from bcbp.errors import DataError
from bcbp.predictions import Predictions
from bcbp.report import Json
from bcbp.rows import key_of
from bcbp.spec import DENSE

LOST, GAINED, STILL_WRONG = "lost", "gained", "still wrong"
KINDS = (LOST, GAINED, STILL_WRONG)


@dataclass(frozen=True)
class OfClass:
    """Changes among the images of one class: how many images, and how many of each kind."""

    name: str
    images: int
    lost: int
    gained: int
    still_wrong: int


@dataclass(frozen=True)
class Move:
    """`count` images that dense takes for `before`, and the pruned network for `after`; their kinds."""

    before: str
    after: str
    count: int
    lost: int
    gained: int


@dataclass(frozen=True, eq=False)
class Changes:
    """The right `labels`, the answers `before` (dense) and `after` pruning: int64 [N], of `classes`."""

    classes: tuple[str, ...]
    labels: Tensor
    before: Tensor
    after: Tensor

    def of_kind(self, kind: str) -> Tensor:
        """Whether each image is lost, gained, or wrong before and after in different ways: bool [N]."""
        was, now = self.before == self.labels, self.after == self.labels
        if kind == STILL_WRONG:
            return ~was & ~now & (self.before != self.after)
        return was & ~now if kind == LOST else ~was & now

    def count(self, kind: str) -> int:
        return int(self.of_kind(kind).sum())

    def by_class(self) -> tuple[OfClass, ...]:
        """Every class that any test image is of, in the order of the data set."""
        counted = [self.labels, *(self.labels[self.of_kind(kind)] for kind in KINDS)]
        counts = [torch.bincount(labels, minlength=len(self.classes)).tolist() for labels in counted]
        rows = zip(self.classes, *counts, strict=True)
        return tuple(OfClass(*row) for row in rows if row[1])

    def moves(self, most: int) -> tuple[Move, ...]:
        """The most frequent changes of an answer, most frequent first."""
        pairs = {kind: self._pairs(kind) for kind in KINDS}
        total = sum(pairs.values(), Counter())
        return tuple(
            Move(self.classes[a], self.classes[b], count, pairs[LOST][a, b], pairs[GAINED][a, b])
            for (a, b), count in total.most_common(most)
        )

    def _pairs(self, kind: str) -> Counter[tuple[int, int]]:
        chosen = self.of_kind(kind)
        return Counter(zip(self.before[chosen].tolist(), self.after[chosen].tolist(), strict=True))

    def chosen(self, kind: str, label: int | None = None) -> Tensor:
        """Indices of the images of one kind, and of one class unless that is None; ascending, int64."""
        mask = self.of_kind(kind)
        return (mask if label is None else mask & (self.labels == label)).nonzero().flatten()


def changes_of(predictions: Predictions, row: Json) -> Changes:
    """What a tested row of a report changed. Raises DataError where its answers were not kept.

    A run that was killed may have kept the answers of a rung that its report does not know yet.
    """
    key, dense = key_of(row), predictions.answers.get(DENSE)
    after = predictions.answers.get(key)
    if dense is None or after is None:
        raise DataError(f"The answers of {key} were not kept: this run did not test it.")
    found = Changes(predictions.classes, predictions.labels, dense, after)
    told = row["accuracy_vs_dense"] or {}
    if (told.get("gained"), told.get("lost")) != (found.count(GAINED), found.count(LOST)):
        raise DataError(
            f"The answers kept of {key} are not those of its accuracy: the run ended between the two. "
            "Run it again."
        )
    return found
