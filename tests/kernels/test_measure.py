"""The clock is a fake one throughout: what is tested is the judgement, not this machine."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernels import measure as m


class FakeClock:
    """A clock that candidates push forward by their cost, and by a random share up to `disturb` of it."""

    def __init__(self, *, disturb: float = 0.0, seed: int = 1) -> None:
        self.now = 0.0
        self.order: list[str] = []
        self.load = 1.0
        self._disturb = disturb
        self._random = random.Random(seed)

    def __call__(self) -> float:
        return self.now

    def task(self, name: str, cost: float):
        def run() -> None:
            self.order.append(name)
            self.now += cost * self.load * (1 + self._disturb * self._random.random())

        return run


def timed(costs: dict[str, float], *, disturb: float = 0.05, rounds: int = 15, seed: int = 1, **options):
    clock = FakeClock(disturb=disturb, seed=seed)
    tasks = {name: clock.task(name, cost) for name, cost in costs.items()}
    return m.measure(tasks, baseline=next(iter(costs)), rounds=rounds, clock=clock, **options)


def test_a_candidate_slower_by_a_known_factor_is_found_worse():
    taken = timed({"dense": 0.02, "slow": 0.02 * 1.3})
    found = m.compare(taken["slow"], taken["dense"])
    assert found.verdict == m.WORSE
    assert found.interval[0] < 1 / 1.3 < found.interval[1]


def test_a_faster_candidate_is_found_better_by_its_factor():
    taken = timed({"dense": 0.03, "fast": 0.01})
    found = m.compare(taken["fast"], taken["dense"])
    assert found.verdict == m.BETTER and found.value == pytest.approx(3, rel=0.05)


def test_equal_candidates_are_mostly_not_told_apart():
    """A 95 % interval misses 1 once in twenty sessions; the control's deviation catches most of those."""
    verdicts = [
        m.compare(taken["same"], taken["dense"]).verdict
        for taken in (timed({"dense": 0.02, "same": 0.02}, seed=seed) for seed in range(40))
    ]
    assert verdicts.count(m.CANNOT_TELL) >= 37


def test_the_control_is_the_baseline_under_another_name():
    taken = timed({"dense": 0.02, "fast": 0.01})
    again = taken[m.CONTROL]
    assert again.median == pytest.approx(taken["dense"].median, rel=0.05)
    assert not again.control.off and again.control.interval[0] <= 1 <= again.control.interval[1]


def test_a_slow_spell_of_the_machine_hits_all_and_leaves_the_ratio_alone():
    clock = FakeClock()
    tasks = {"dense": clock.task("dense", 0.02), "fast": clock.task("fast", 0.01)}

    def slow_down(done: float) -> None:
        clock.load = 4.0 if done > 0.5 else 1.0

    taken = m.measure(tasks, baseline="dense", rounds=20, clock=clock, progress=slow_down)
    found = m.compare(taken["fast"], taken["dense"])
    assert found.value == pytest.approx(2) and found.verdict == m.BETTER
    assert taken["fast"].noisy  # the spread shows the spell although the ratio does not


def test_rounds_are_interleaved_in_changing_order():
    clock = FakeClock()
    tasks = {name: clock.task(name, 0.02) for name in ("a", "b", "c")}
    m.measure(tasks, baseline="a", rounds=10, clock=clock)
    warm_up_calls, per_round = 4 * 3, 4 * 2
    steady = clock.order[warm_up_calls:]
    rounds = [tuple(steady[i : i + per_round]) for i in range(0, len(steady), per_round)]
    assert len(rounds) == 10 and len(set(rounds)) > 1
    assert all(sorted(one) == ["a"] * 4 + ["b"] * 2 + ["c"] * 2 for one in rounds)


def test_short_functions_are_repeated_within_a_sample():
    taken = timed({"short": 0.0001, "long": 0.05}, disturb=0, sample_seconds=0.01)
    assert taken["short"].inner == 100 and taken["long"].inner == 1
    assert taken["short"].median == pytest.approx(0.0001)


def test_a_clock_that_stands_still_does_not_divide_by_zero():
    assert timed({"nothing": 0.001}, disturb=0)["nothing"].inner == 10
    assert (
        m.measure({"still": lambda: None}, baseline="still", timer=lambda run, inner: 0.0)["still"].inner
        == 100_000
    )


def test_the_time_limit_ends_early_but_never_below_the_least_rounds():
    assert len(timed({"a": 1.0}, limit_seconds=0.0)["a"].samples) == m.MIN_ROUNDS
    assert len(timed({"a": 1.0}, limit_seconds=30.0)["a"].samples) < 15
    assert len(timed({"a": 1.0}, limit_seconds=1e9)["a"].samples) == 15


def test_stop_is_obeyed_before_the_next_sample():
    clock = FakeClock()
    calls = iter([False] * 6)
    with pytest.raises(m.Stopped):
        m.measure(
            {"a": clock.task("a", 0.02)},
            baseline="a",
            clock=clock,
            should_stop=lambda: next(calls, True),
        )
    assert len(clock.order) == 2 * 3 + 2 * 2


def test_progress_grows_to_one():
    seen: list[float] = []
    timed({"a": 0.02}, rounds=4, progress=seen.append)
    assert seen == [0.25, 0.5, 0.75, 1.0]


def test_a_wide_spread_and_a_control_that_differs_from_itself_are_noisy():
    calm = m.Control(1.0, (0.99, 1.01))
    assert not m.Measurement("a", (1.0, 1.01, 1.02, 1.0, 1.0), 1, calm).noisy
    assert m.Measurement("a", (1.0, 2.0, 1.0, 3.0, 2.0), 1, calm).noisy
    assert m.Measurement("a", (1.0,) * 5, 1, m.Control(1.2, (1.1, 1.3))).noisy


def test_nothing_smaller_than_the_controls_deviation_is_claimed():
    shaky = m.Control(1.05, (0.95, 1.15))
    dense = m.Measurement("dense", (1.10,) * 10, 1, shaky)
    fast = m.Measurement("fast", (1.0,) * 10, 1, shaky)
    assert m.compare(fast, dense).verdict == m.CANNOT_TELL
    faster = m.Measurement("faster", (0.8,) * 10, 1, shaky)
    assert m.compare(faster, dense).verdict == m.BETTER
    wild = m.Measurement("wild", (0.2, 1.05) * 5, 1, shaky)
    assert m.compare(wild, dense).interval[0] > 1 and m.compare(wild, dense).verdict == m.CANNOT_TELL


TWO_SPEEDS = st.sampled_from([30.0, 58.0, 175.0, 500.0])


@given(st.lists(st.tuples(TWO_SPEEDS, TWO_SPEEDS), min_size=9, max_size=15))
def test_a_verdict_never_contradicts_the_medians(rounds: list[tuple[float, float]]):
    control = m.Control(1.0, (0.99, 1.01))
    dense, fast = (m.Measurement("x", samples, 1, control) for samples in zip(*rounds, strict=True))
    verdict = m.compare(fast, dense).verdict
    assert verdict != m.BETTER or fast.median < dense.median
    assert verdict != m.WORSE or fast.median > dense.median


def test_rounds_that_agree_while_medians_do_not_decide_nothing():
    """Seen where a machine jumped between speeds: 9 of 11 rounds favour a candidate of thrice the median."""
    rounds = [(500, 175)] * 5 + [(58, 25)] * 4 + [(40, 175), (30, 175)]
    control = m.Control(1.0, (0.99, 1.01))
    dense, slow = (m.Measurement("x", samples, 1, control) for samples in zip(*rounds, strict=True))
    assert slow.median > 2 * dense.median
    assert m.bootstrap_interval(np.array(dense.samples) / slow.samples)[0] > 1
    assert m.compare(slow, dense).verdict == m.CANNOT_TELL


def test_too_few_rounds_never_decide():
    taken = timed({"dense": 0.03, "fast": 0.01}, rounds=m.MIN_ROUNDS - 1)
    assert m.compare(taken["fast"], taken["dense"]).verdict == m.CANNOT_TELL


def test_measurements_of_two_sessions_are_refused():
    one, other = timed({"a": 0.02}, seed=1), timed({"a": 0.02}, seed=2)
    with pytest.raises(ValueError, match="one session"):
        m.compare(one["a"], other["a"])


def test_an_unknown_baseline_is_a_key_error():
    with pytest.raises(KeyError):
        m.measure({"a": lambda: None}, baseline="b")


@given(st.lists(st.floats(0.1, 10), min_size=5, max_size=30))
def test_the_bootstrap_interval_holds_the_median_and_repeats_itself(values: list[float]):
    ratios = np.array(values)
    low, high = m.bootstrap_interval(ratios)
    assert low <= np.median(ratios) + 1e-12 and np.median(ratios) <= high + 1e-12
    assert (low, high) == m.bootstrap_interval(ratios)
