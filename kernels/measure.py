"""Time several functions against each other fairly, and say what the times can and cannot tell.

All candidates run in the same process, once per round, in an order shuffled anew each round, so that a slow
spell of the machine falls on all of them. The baseline runs twice under two names (the A/A control):
what differs between those two is noise, and no claim smaller than it is made. Times are in seconds.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np

Clock = Callable[[], float]
# (run, inner) to the seconds per call over `inner` calls, after an untimed one.
Timer = Callable[[Callable[[], object], int], float]
Interval = tuple[float, float]

CONTROL = "(baseline again)"
BETTER, WORSE, CANNOT_TELL = "better", "worse", "cannot tell"

# With five paired rounds the bootstrap interval of the median still reaches the smallest and the largest
# ratio seen (their chance in a resample is 5.8 %); with fewer it shrinks and would claim too much.
MIN_ROUNDS = 5
# Half of a quiet machine's samples lie within a few percent; wider than this, something else was running.
SPREAD_LIMIT = 0.25
# A control interval that misses 1 by less than this is within what caches and code placement do.
CONTROL_TOLERANCE = 0.01
# Enough to find the fastest of a few forms of one network: a wrong choice costs at most what they differ by.
SCOUT_ROUNDS = 3
_RESAMPLES = 2000
_MAX_INNER = 100_000


class Stopped(Exception):
    """`should_stop` said so; nothing was measured to the end."""


@dataclass(frozen=True)
class Control:
    """The baseline against itself: the ratio of its two runs, near 1 on a quiet machine, and its interval."""

    value: float
    interval: Interval

    @property
    def deviation(self) -> float:
        """The largest factor (>= 1) by which two runs of the same code seem to differ."""
        low, high = self.interval
        return max(high, 1 / low)

    @property
    def off(self) -> bool:
        """Whether the same code measurably differs from itself: then the session is not to be trusted."""
        low, high = self.interval
        return low > 1 + CONTROL_TOLERANCE or high < 1 - CONTROL_TOLERANCE


@dataclass(frozen=True)
class Measurement:
    """Seconds per call of one candidate, a sample per round, and the control of the session it was timed in.

    `inner` calls were averaged in each sample. Samples of one session are paired by round.

    >>> one = Measurement("dense", (2.0, 3.0, 4.0, 5.0, 6.0), 1, Control(1.0, (0.99, 1.01)))
    >>> one.median, one.q1, one.q3, one.noisy
    (4.0, 3.0, 5.0, True)
    """

    name: str
    samples: tuple[float, ...]
    inner: int
    control: Control

    @property
    def median(self) -> float:
        return float(np.median(self.samples))

    @property
    def q1(self) -> float:
        return float(np.quantile(self.samples, 0.25))

    @property
    def q3(self) -> float:
        return float(np.quantile(self.samples, 0.75))

    @property
    def spread(self) -> float:
        """Distance of the quartiles as a share of the median."""
        return (self.q3 - self.q1) / self.median

    @property
    def noisy(self) -> bool:
        """Whether the machine was too unsteady for this time to be quoted without a warning."""
        return self.control.off or self.spread > SPREAD_LIMIT


@dataclass(frozen=True)
class Speedup:
    """How many times faster a candidate is than its baseline: `value`, 95 % `interval`, and the verdict."""

    value: float
    interval: Interval
    verdict: str


def measure(
    candidates: Mapping[str, Callable[[], object]],
    *,
    baseline: str,
    rounds: int = 15,
    sample_seconds: float = 0.01,
    limit_seconds: float | None = None,
    seed: int = 0,
    progress: Callable[[float], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
    clock: Clock = time.perf_counter,
    timer: Timer | None = None,
) -> dict[str, Measurement]:
    """Each candidate's time, and under the key CONTROL the baseline's second run.

    A sample is what `timer` says, by default what `clock` shows on the host; work that goes on after a call
    returns needs a timer of its own device.

    Functions shorter than `sample_seconds` are repeated within a sample. After `limit_seconds` no further
    round is begun, but at least MIN_ROUNDS are run. `progress` gets the share done after each round.
    Raises Stopped when `should_stop`, asked before each sample, says so; KeyError for an unknown `baseline`.
    """
    runs = {**candidates, CONTROL: candidates[baseline]}
    stop = should_stop or (lambda: False)
    timer = timer or host_timer(clock)
    inner = {name: _warm_up(run, sample_seconds, stop, timer) for name, run in runs.items()}
    inner[CONTROL] = inner[baseline]
    shuffled = random.Random(seed)
    samples: dict[str, list[float]] = {name: [] for name in runs}
    began = clock()
    for done in range(rounds):
        if limit_seconds is not None and done >= MIN_ROUNDS and clock() - began > limit_seconds:
            break
        for name in shuffled.sample(list(runs), len(runs)):
            _raise_if(stop)
            samples[name].append(timer(runs[name], inner[name]))
        if progress:
            progress((done + 1) / rounds)
    control = _control(samples[baseline], samples[CONTROL])
    return {name: Measurement(name, tuple(taken), inner[name], control) for name, taken in samples.items()}


def fastest(candidates: Mapping[str, Callable[[], object]], *, timer: Timer | None) -> str:
    """The name of the fastest after SCOUT_ROUNDS rounds: a choice between forms of one thing, no claim."""
    times = measure(candidates, baseline=next(iter(candidates)), rounds=SCOUT_ROUNDS, timer=timer)
    return min(candidates, key=lambda name: times[name].median)


def _raise_if(stop: Callable[[], bool]) -> None:
    if stop():
        raise Stopped


def _warm_up(run: Callable[[], object], sample_seconds: float, stop: Callable[[], bool], timer: Timer) -> int:
    """Calls per sample so that it takes about `sample_seconds`; the first call, untimed, may compile."""
    _raise_if(stop)
    run()
    _raise_if(stop)
    once = timer(run, 1)
    return min(_MAX_INNER, max(1, ceil(sample_seconds / once))) if once > 0 else _MAX_INNER


def host_timer(clock: Clock = time.perf_counter) -> Timer:
    """Times what has ended when the call returns, with data that an untimed call brought into the caches."""

    def seconds(run: Callable[[], object], inner: int) -> float:
        run()
        start = clock()
        for _ in range(inner):
            run()
        return (clock() - start) / inner

    return seconds


def _control(first: Sequence[float], second: Sequence[float]) -> Control:
    ratios = np.asarray(first) / np.asarray(second)
    return Control(float(np.median(ratios)), bootstrap_interval(ratios))


def bootstrap_interval(ratios: np.ndarray, *, seed: int = 0) -> Interval:
    """The 95 % percentile interval of the median of `ratios` [rounds], by resampling rounds (Efron 1979)."""
    chosen = np.random.default_rng(seed).integers(len(ratios), size=(_RESAMPLES, len(ratios)))
    low, high = np.quantile(np.median(ratios[chosen], axis=1), (0.025, 0.975))
    return float(low), float(high)


def compare(candidate: Measurement, baseline: Measurement) -> Speedup:
    """How many times faster `candidate` is than `baseline`, both of one session, round by round.

    The value is the median over rounds of baseline / candidate time. "better" or "worse" needs the whole
    interval, and the ratio of the two medians, on one side of 1 and beyond what the A/A control shows
    between identical code. (On a machine that jumps between two speeds, rounds and medians can disagree.)
    Raises ValueError when the two were not timed in the same rounds.
    """
    if len(candidate.samples) != len(baseline.samples) or candidate.control != baseline.control:
        raise ValueError(f"expected one session, got {candidate.name} and {baseline.name} of two")
    ratios = np.asarray(baseline.samples) / np.asarray(candidate.samples)
    value, interval = float(np.median(ratios)), bootstrap_interval(ratios)
    unpaired = baseline.median / candidate.median
    claimed = (min(interval[0], unpaired), max(interval[1], unpaired))
    return Speedup(value, interval, _verdict(claimed, baseline.control, rounds=len(ratios)))


def _verdict(claimed: Interval, control: Control, *, rounds: int) -> str:
    low, high = claimed
    if rounds < MIN_ROUNDS or (low <= control.deviation and high >= 1 / control.deviation):
        return CANNOT_TELL
    return BETTER if low > 1 else WORSE
