"""The GPU benchmark's choice among the library's forms. What it launches is checked in test_choice."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from kernels.bench import BenchJob, Candidate
from kernels.gpu.bench import GpuBench
from kernels.gpu.dense_forms import EAGER, FUSED, Inputs
from kernels.layers import square
from kernels.pack import PackedWeight
from kernels.precision import FP16
from kernels.pruned_layer import PrunedLayer

JOB = BenchJob(square(16, 32, size=4), batch=8, tile=16, ratio=0.5)


class TimedBench(GpuBench):
    """The library's forms take what `costs` says, in seconds; None stands for one that is declined."""

    def __init__(self, costs: dict[str, float | None]) -> None:
        super().__init__(FP16)
        self._device, self.costs = "cpu", costs

    def _library(
        self, form: str, layer: PrunedLayer, packed: PackedWeight, inputs: Sequence[Inputs]
    ) -> Candidate:
        cost = self.costs[form]
        if cost is None:
            return Candidate(form, "cuDNN", 0.5, None, "cuDNN declined: no such form")

        def run() -> float:
            return cost

        return Candidate(form, "cuDNN", 0.5, run, "channels_last")

    def timer(self) -> Callable[[Callable[[], float], int], float]:
        return lambda run, inner: run()


@pytest.mark.parametrize(
    ("eager", "fused", "chosen"),
    [(0.002, 0.001, FUSED), (0.001, 0.002, EAGER), (0.001, None, EAGER), (None, 0.001, FUSED)],
)
def test_the_smaller_layer_runs_in_its_faster_form_as_the_dense_one_does(eager, fused, chosen) -> None:
    bench = TimedBench({"dense conv alone": 0.001, EAGER: eager, FUSED: fused})
    found = bench.candidates(PrunedLayer(JOB), ("filter",))[-1]
    assert found.pattern == "filter" and found.note == f"{chosen}, channels_last"
    assert found.run is not None and found.run() == bench.costs[chosen]


def test_a_smaller_layer_that_every_form_declines_says_so() -> None:
    bench = TimedBench({"dense conv alone": 0.001, EAGER: None, FUSED: None})
    found = bench.candidates(PrunedLayer(JOB), ("filter",))[-1]
    assert found.run is None and found.note.count("no such form") == 2
