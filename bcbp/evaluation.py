"""Accuracy on labelled images, with what its sampling error allows to be said."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt

import torch
from torch import Tensor, nn

from bcbp.data import Images
from kernels.measure import BETTER, CANNOT_TELL, WORSE, Interval, Stopped

# What a layer hands to the next stays in a core's cache: on the CPU a third faster than batches of 250.
BATCH = 50
SIGNIFICANCE = 0.05
_Z95 = 1.959963984540054


@dataclass(frozen=True, eq=False)
class Quality:
    """`correct` of `total` images by top-1, the 95 % Wilson `interval` of the share.

    `hits` bool [total] and the `predicted` classes int64 [total] are in the order of the images.
    """

    correct: int
    total: int
    interval: Interval
    hits: Tensor
    predicted: Tensor

    @property
    def share(self) -> float:
        return self.correct / self.total


@dataclass(frozen=True)
class PairedTest:
    """One model against another on the same images: `gained` it alone gets right, `lost` the other alone."""

    gained: int
    lost: int
    p_value: float
    verdict: str


def accuracy(
    module: nn.Module,
    images: Images,
    *,
    limit: int | None = None,
    batch: int = BATCH,
    progress: Callable[[float], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Quality:
    """Top-1 over the first `limit` images (all by default), on the device that `module` is on.

    `module` must be in eval mode.

    Raises Stopped between two batches when `should_stop` says so.
    """
    total = min(limit or len(images), len(images))
    predicted = torch.zeros(total, dtype=torch.int64)
    device = next((parameter.device for parameter in module.parameters()), torch.device("cpu"))
    for start in range(0, total, batch):
        if should_stop and should_stop():
            raise Stopped
        stop = min(start + batch, total)
        with torch.inference_mode():
            predicted[start:stop] = module(images.inputs(start, stop).to(device)).argmax(1).cpu()
        if progress:
            progress(stop / total)
    hits = predicted == images.labels[:total]
    correct = int(hits.sum())
    return Quality(correct, total, wilson_interval(correct, total), hits, predicted)


class Exam:
    """The test images of a report, the first `limit` of them. Each network sits it once: what is tried on the
    test images until it fits would no longer be tested.
    """

    def __init__(self, images: Images, limit: int | None) -> None:
        self._images, self._limit = images, limit
        self._sat: set[str] = set()

    def __len__(self) -> int:
        return min(self._limit or len(self._images), len(self._images))

    @property
    def labels(self) -> Tensor:
        """The right answers, int64 [len(self)]."""
        return self._images.labels[: len(self)]

    def sit(
        self,
        name: str,
        module: nn.Module,
        *,
        progress: Callable[[float], None] | None = None,
        should_stop: Callable[[], bool] | None = None,
    ) -> Quality:
        """The accuracy of the network called `name`. Raises ValueError if it has been tested already."""
        if name in self._sat:
            raise ValueError(f"expected each network to be tested once, {name} has been tested already")
        self._sat.add(name)
        return accuracy(module, self._images, limit=self._limit, progress=progress, should_stop=should_stop)


def wilson_interval(correct: int, total: int) -> Interval:
    """The 95 % score interval of a share (Wilson 1927); inside [0, 1] and sound near its ends.

    >>> [round(end, 4) for end in wilson_interval(95, 100)]
    [0.8882, 0.9785]
    """
    share, z2 = correct / total, _Z95**2
    centre = share + z2 / (2 * total)
    reach = _Z95 * sqrt(share * (1 - share) / total + z2 / (4 * total**2))
    scale = 1 + z2 / total
    return max(0.0, (centre - reach) / scale), min(1.0, (centre + reach) / scale)


def drop_interval(gained: int, lost: int, total: int) -> Interval:
    """The 95 % interval of an accuracy drop on the same images, as shares (Agresti and Min 2005).

    Half an image is added to each of the four ways in which two answers can be right or wrong, so that it
    has a width even where no answer changed.

    >>> [round(end, 3) for end in (*drop_interval(0, 0, 1000), *drop_interval(2, 12, 1000))]
    [-0.002, 0.002, 0.002, 0.018]
    """
    count, up, down = total + 2, gained + 0.5, lost + 0.5
    share = (down - up) / count
    reach = _Z95 * sqrt((up + down) / count - share**2) / sqrt(count)
    return share - reach, share + reach


def mcnemar(hits: Tensor, baseline_hits: Tensor) -> PairedTest:
    """The exact two-sided paired test (McNemar 1947, binomial form) of two models' hits, bool [N] each.

    Only images on which the two differ carry information. Raises ValueError for unequal lengths.
    """
    if hits.shape != baseline_hits.shape:
        raise ValueError(f"expected hits of the same images, got {len(hits)} and {len(baseline_hits)}")
    gained = int((hits & ~baseline_hits).sum())
    lost = int((~hits & baseline_hits).sum())
    p_value = sign_test(gained, lost)
    if p_value >= SIGNIFICANCE:
        return PairedTest(gained, lost, p_value, CANNOT_TELL)
    return PairedTest(gained, lost, p_value, BETTER if gained > lost else WORSE)


def sign_test(first: int, second: int) -> float:
    """Chance that a fair coin splits `first + second` tosses at least this unevenly, in exact integers.

    >>> sign_test(1, 5)
    0.21875
    """
    tosses = first + second
    term, tail = 1, 0  # C(tosses, i) for i = 0, 1, ... and their sum up to the smaller count
    for i in range(min(first, second) + 1):
        tail += term
        term = term * (tosses - i) // (i + 1)
    return min(1.0, 2 * tail / 2**tosses)
