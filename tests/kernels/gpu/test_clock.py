"""The GPU's clock on a double of torch.cuda: what is replayed, what is timed, and how often."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from kernels.gpu.clock import CALLS_PER_GRAPH, GpuTimer, rotated
from kernels.measure import measure


class FakeGpu:
    """A device whose time goes on by `cost` for each call, and by LAUNCH for each graph it replays."""

    LAUNCH = 0.001

    def __init__(self) -> None:
        self.now, self.calls, self.captured = 0.0, 0, 0

    def task(self, cost: float):
        def run() -> None:
            self.calls += 1
            self.now += cost

        return run

    def capture(self, run):
        """What records a graph: it runs once while it is recorded, in no time."""
        before = self.now, self.calls
        run()
        cost, calls = self.now - before[0], self.calls - before[1]
        self.now, self.calls = before
        self.captured += 1

        def replay() -> None:
            self.now += cost + self.LAUNCH
            self.calls += calls

        return replay

    # ---- what the timer asks of torch.cuda
    def Event(self, *, enable_timing: bool):
        assert enable_timing
        gpu, event = self, SimpleNamespace(at=None)
        event.record = lambda: setattr(event, "at", gpu.now)
        event.synchronize = lambda: None
        event.elapsed_time = lambda end: 1e3 * (end.at - event.at)  # milliseconds, as CUDA has it
        return event


def timer_of(gpu: FakeGpu, **options: bool) -> GpuTimer:
    return GpuTimer(cuda=gpu, capture=gpu.capture, **options)


def test_a_graph_of_many_calls_is_replayed_and_shared_out() -> None:
    gpu = FakeGpu()
    seconds = timer_of(gpu)(gpu.task(0.01), 64)
    assert gpu.captured == 1
    # one untimed replay, then two of 32 calls: the launch of a graph is shared by its calls
    assert gpu.calls == 3 * CALLS_PER_GRAPH
    assert seconds == pytest.approx(0.01 + gpu.LAUNCH / CALLS_PER_GRAPH)


def test_a_graph_is_captured_once_for_each_function_and_number_of_calls() -> None:
    gpu = FakeGpu()
    timer, run = timer_of(gpu), gpu.task(0.01)
    for inner in (1, 1, 40, 40):
        timer(run, inner)
    assert gpu.captured == 2
    timer(gpu.task(0.01), 1)
    assert gpu.captured == 3


def test_eager_calls_are_made_one_by_one_after_an_untimed_one() -> None:
    gpu = FakeGpu()
    assert timer_of(gpu, graph=False)(gpu.task(0.02), 5) == pytest.approx(0.02)
    assert gpu.calls == 6 and gpu.captured == 0


def test_buffers_take_turns() -> None:
    seen: list[int] = []
    run = rotated([lambda number=number: seen.append(number) for number in range(3)])
    for _ in range(5):
        run()
    assert seen == [0, 1, 2, 0, 1]


def test_measure_judges_on_this_clock() -> None:
    gpu = FakeGpu()
    tasks = {"dense": gpu.task(0.004), "sparse": gpu.task(0.002)}
    taken = measure(tasks, baseline="dense", rounds=5, timer=timer_of(gpu, graph=False))
    assert taken["dense"].median == pytest.approx(2 * taken["sparse"].median)
    assert taken["sparse"].inner == 5  # 10 ms a sample
