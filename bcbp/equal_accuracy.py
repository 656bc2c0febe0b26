"""Which method is fastest among what loses at most so much accuracy: measured rows, nothing between them.

A row is *within* the bound by its measured loss. Where the bound is inside the 95 % interval of that loss (a
paired difference, on the same images), the row is flagged: whether it is within cannot be told.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bcbp.evaluation import drop_interval
from bcbp.rows import goes_by_ratio
from bcbp.spec import DENSE
from kernels.measure import BETTER, Interval

Json = dict[str, Any]


@dataclass(frozen=True)
class Loss:
    """Accuracy lost against dense on the same images, as a share, with the 95 % `interval` of it."""

    value: float
    interval: Interval

    @classmethod
    def paired(cls, gained: int, lost: int, total: int) -> Loss:
        """Of `total` images `lost` are right with dense alone, `gained` without it alone."""
        return cls((lost - gained) / total, drop_interval(gained, lost, total))

    def within(self, bound: float) -> bool:
        return round(self.value - bound, 9) <= 0  # 0.7 / 100 is 0.006999999999999999 in floats

    def unsure(self, bound: float) -> bool:
        low, high = self.interval
        return low <= bound < high


@dataclass(frozen=True)
class Candidate:
    """A pruned row that was tested and timed: its loss, and its speed-up over the best dense.

    `ratio` is the one asked for; where none was, as under a latency target, the share that was removed.
    """

    method: str
    ratio: float
    loss: Loss
    speedup: float
    interval: Interval
    verdict: str
    speed_claim: bool

    @property
    def rank(self) -> tuple[bool, bool, float]:
        """The more may be claimed of its speed, the higher."""
        return self.speed_claim, self.verdict == BETTER, self.speedup

    def overlaps(self, other: Candidate) -> bool:
        return self.interval[0] <= other.interval[1] and other.interval[0] <= self.interval[1]


@dataclass(frozen=True)
class Choice:
    """A method's fastest row `within` the bound; where none is, the one that loses least."""

    candidate: Candidate
    within: bool
    unsure: bool

    @property
    def words(self) -> str:
        """What may be said of its loss, and of its time."""
        loss = ("within" if self.within else "not within") + (", cannot tell" if self.unsure else "")
        return loss if self.candidate.speed_claim else f"{loss}; no speed claim"


@dataclass(frozen=True)
class Answer:
    """What every method offers within `bound`, a share of accuracy lost, at one batch size."""

    bound: float
    batch: str
    choices: tuple[Choice, ...]

    @property
    def racing(self) -> tuple[Choice, ...]:
        """Those within whose time says something about pruning; first what is clearly faster than dense."""
        fit = [one for one in self.choices if one.within and one.candidate.speed_claim]
        return tuple(sorted(fit, key=lambda one: one.candidate.rank, reverse=True))

    @property
    def leaders(self) -> tuple[Choice, ...]:
        """The first, and those whose speed cannot be told from its: one leader is a winner."""
        return tuple(one for one in self.racing if one.candidate.overlaps(self.racing[0].candidate))

    @property
    def nearest(self) -> Choice:
        """What loses least of all."""
        return min(self.choices, key=lambda one: one.candidate.loss.value)


def equal_accuracy(report: Json, *, batch: str, bound: float) -> Answer | None:
    """The answer of a (possibly partial) report; None before any pruned row is both tested and timed."""
    methods: dict[str, list[Candidate]] = {}
    asked = goes_by_ratio(report)
    for row in report["rows"]:
        if (candidate := _candidate(row, batch, asked=asked)) is not None:
            methods.setdefault(candidate.method, []).append(candidate)
    if not methods:
        return None
    return Answer(bound, batch, tuple(_choice(found, bound) for found in methods.values()))


def _candidate(row: Json, batch: str, *, asked: bool) -> Candidate | None:
    speedup, times = row["speedup"].get(batch), row["latency_ms"].get(batch)
    if row["method"] == DENSE or speedup is None or (loss := loss_of(row)) is None:
        return None
    return Candidate(
        row["method"],
        row["asked_ratio" if asked else "sparsity"],
        loss,
        speedup["value"],
        tuple(speedup["interval"]),
        speedup["verdict"],
        times.get("speed_claim", True),
    )


def loss_of(row: Json) -> Loss | None:
    """The loss of a pruned row; None where it was not tested."""
    paired, accuracy = row["accuracy_vs_dense"], row["accuracy"]
    if paired is None or accuracy is None:
        return None
    return Loss.paired(paired["gained"], paired["lost"], accuracy["total"])


def _choice(candidates: Sequence[Candidate], bound: float) -> Choice:
    """The fastest within; what is not clearly faster than dense comes after what is."""
    fit = [one for one in candidates if one.loss.within(bound)]
    best = max(fit, key=lambda one: one.rank) if fit else min(candidates, key=lambda one: one.loss.value)
    return Choice(best, bool(fit), best.loss.unsure(bound))


def sentence(answer: Answer, titles: Mapping[str, str]) -> str:
    """The answer in words; `titles` are the names of methods for people."""
    limit = f"{100 * answer.bound:.4g} {'point' if answer.bound == 0.01 else 'points'}"
    if not any(one.within for one in answer.choices):
        nearest = answer.nearest
        doubt = f", and whether that is more than {limit} cannot be told" if nearest.unsure else ""
        return (
            f"No method stays within {limit} here; nearest is {_named(nearest, titles)}: "
            f"{_lost(nearest)}{doubt}."
        )
    where = f"within {limit} at batch {answer.batch}"
    leaders = answer.leaders
    if not leaders:
        return f"No speed claim {where}: what ran there says nothing about pruning."
    doubts = "".join(_doubt(one, limit, titles) for one in leaders if one.unsure)
    if leaders[0].candidate.verdict != BETTER:
        return (
            f"Dense stays: no method {where} is clearly faster. Fastest of them is "
            f"{_fast(leaders[0], titles)}.{doubts}"
        )
    if len(leaders) > 1:
        return f"Too close to call {where}: {', '.join(_fast(one, titles) for one in leaders)}.{doubts}"
    return f"Fastest {where}: {_fast(leaders[0], titles)} and {_lost(leaders[0])}.{doubts}"


def _named(choice: Choice, titles: Mapping[str, str]) -> str:
    one = choice.candidate
    return f"{titles.get(one.method, one.method)} at {100 * one.ratio:.4g} %"


def _fast(choice: Choice, titles: Mapping[str, str]) -> str:
    low, high = choice.candidate.interval
    return f"{_named(choice, titles)} with {choice.candidate.speedup:.2f}× ({low:.2f}× to {high:.2f}×)"


def _lost(choice: Choice) -> str:
    loss = choice.candidate.loss
    low, high = (100 * end for end in loss.interval)
    return f"{100 * loss.value:.2f} points lost ({low:.2f} to {high:.2f})".replace("-", "−")


def _doubt(choice: Choice, limit: str, titles: Mapping[str, str]) -> str:
    return f" {_named(choice, titles)} may lose more than {limit}: {_lost(choice)}."
