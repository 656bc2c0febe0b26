"""Whether a measured network keeps within limits: a time, and points of accuracy lost against dense."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from bcbp.equal_accuracy import loss_of
from bcbp.errors import DataError, SpecError
from kernels.measure import Interval, bootstrap_interval

Json = dict[str, Any]


@dataclass(frozen=True)
class Limit:
    """What was measured, `value` with its 95 % `interval`, against the `most` that is allowed, in `unit`."""

    name: str
    unit: str
    value: float
    interval: Interval
    most: float

    @property
    def within(self) -> bool:
        return round(self.value - self.most, 9) <= 0  # 100 * 0.007 is 0.7000000000000001 in floats

    @property
    def unsure(self) -> bool:
        """Whether the limit is inside the interval, so that another measurement may end otherwise."""
        low, high = self.interval
        return low <= self.most < high

    def passes(self, *, strict: bool) -> bool:
        """By the measured value; `strict` asks that nothing is left open, too."""
        return self.within and not (strict and self.unsure)

    @property
    def words(self) -> str:
        return ("within" if self.within else "exceeded") + (", cannot tell" if self.unsure else "")

    def to_json(self) -> Json:
        return {
            "name": self.name,
            "unit": self.unit,
            "value": self.value,
            "interval": list(self.interval),
            "most": self.most,
            "within": self.within,
            "unsure": self.unsure,
        }


def latency_limit(row: Json, batch: int, most: float) -> Limit:
    """The median time of a row of a report, in ms; its interval resamples the rounds.

    Raises SpecError where the row was not timed at that batch size.
    """
    times = row["latency_ms"].get(str(batch))
    if times is None:
        reason = row["latency_reason"].get(str(batch), "the run ended before")
        raise SpecError(f"Expected a time of {row['method']} at batch {batch}; there is none: {reason}")
    return Limit("latency", "ms", times["median"], bootstrap_interval(np.array(times["samples"])), most)


def drop_limit(row: Json, most: float) -> Limit:
    """The points of accuracy that a row of a report lost. Raises DataError where it was not tested."""
    loss = loss_of(row)
    if loss is None:
        reason = row["accuracy_reason"] or "the run ended before"
        raise DataError(f"Expected an accuracy of {row['method']}; there is none: {reason}")
    low, high = loss.interval
    return Limit("accuracy lost", "points", 100 * loss.value, (100 * low, 100 * high), most)
