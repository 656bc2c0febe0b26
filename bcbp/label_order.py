"""Notices labels that are numbered otherwise than the network numbers its classes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

# Of images per class: below that the most frequent answer of a class is chance.
_LEAST_IMAGES = 5
# Right after a fixed exchange of classes: most answers, and many times as many as are right as they are, or
# nearly all that are wrong, where only some classes are exchanged. Noise and pruning come nowhere near.
_EXPLAINED, _GAIN, _OF_WRONG = 0.5, 3.0, 0.75


def wrong_order(labels: Tensor, predicted: Tensor, classes: Sequence[str]) -> str | None:
    """A sentence where a fixed exchange of classes would make most of the answers right that are wrong.

    `labels` and `predicted` int64 [N], both numbers into `classes`. None where the order looks right.

    >>> labels = torch.arange(3).repeat(20)
    >>> wrong_order(labels, labels, ("a", "b", "c")) is None
    True
    >>> wrong_order(labels, (labels + 1) % 3, ("a", "b", "c"))[:53]
    'The order of classes looks wrong: 0.0% of the answers'
    """
    count = len(classes)
    if count < 2 or len(labels) < _LEAST_IMAGES * count or int(predicted.max()) >= count:
        return None
    table = torch.bincount(labels * count + predicted, minlength=count * count).view(count, count)
    answers, every = torch.tensor(_exchange(table)), torch.arange(count)
    direct = float(table.diagonal().sum()) / len(labels)
    explained = float(table[every, answers].sum()) / len(labels)
    gains = explained >= _GAIN * direct or explained - direct >= _OF_WRONG * (1 - direct) > 0
    if explained < _EXPLAINED or not gains:
        return None
    moved = int(table[every, answers].where(answers != every, 0).argmax())
    return (
        f"The order of classes looks wrong: {direct:.1%} of the answers are right as the classes are "
        f"numbered, {explained:.1%} would be if each label stood for another. Images labelled "
        f"{classes[moved]} are mostly answered {classes[int(answers[moved])]}. Check the names and the "
        "order of the class folders."
    )


def _exchange(table: Tensor) -> list[int]:
    """An answer for each label, every one once: the most frequent pairs of `table` [label, answer] first."""
    count = len(table)
    answer: dict[int, int] = {}
    taken: set[int] = set()
    for pair in table.flatten().argsort(descending=True).tolist():
        label, other = divmod(pair, count)
        if label not in answer and other not in taken:
            answer[label] = other
            taken.add(other)
            if len(answer) == count:
                break
    return [answer[label] for label in range(count)]
