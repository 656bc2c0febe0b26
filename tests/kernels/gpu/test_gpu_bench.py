"""The GPU benchmark's choice among the library's forms. What it launches is checked in test_choice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
import torch

from kernels.bench import BenchJob, Candidate
from kernels.gpu import bench
from kernels.gpu.bench import LONGEST, UNPRUNED, GpuBench, _Prepared
from kernels.gpu.choice import Choice
from kernels.gpu.cost_model import waves
from kernels.gpu.dense_forms import EAGER, FUSED, Inputs
from kernels.gpu.launch import LaunchConfig
from kernels.gpu.operators import GATHERED, STREAMING
from kernels.gpu.work import work_of
from kernels.layers import square
from kernels.pack import PackedWeight
from kernels.precision import FP16, FP32
from kernels.pruned_layer import PrunedLayer
from tests.kernels.gpu.tuned import HOPPER, layer_on_maps

JOB = BenchJob(square(16, 32, size=4), batch=8, tile=16, ratio=0.5)


class TimedBench(GpuBench):
    """Dense forms take what `costs` says, in seconds; None stands for one that is declined."""

    def __init__(self, costs: dict[str, float | None]) -> None:
        super().__init__(FP16)
        self._device, self.costs = "cpu", costs

    def _library(
        self, form: str, layer: PrunedLayer, packed: PackedWeight, inputs: Sequence[Inputs]
    ) -> Candidate:
        return self._costing(form)

    def _unpruned(self, prepared: _Prepared) -> Candidate:
        return self._costing(UNPRUNED)

    def _costing(self, form: str) -> Candidate:
        cost = self.costs.get(form)
        if cost is None:
            return Candidate(form, "cuDNN", 0.5, None, "cuDNN declined: no such form")

        def run() -> float:
            return cost

        return Candidate(form, "cuDNN", 0.5, run, "channels_last")

    def timer(self) -> Callable[[Callable[[], float], int], float]:
        return lambda run, inner: run()


@pytest.mark.parametrize(
    ("eager", "fused", "ours", "chosen"),
    [
        (0.002, 0.001, 0.003, FUSED),
        (0.001, 0.002, 0.003, EAGER),
        (0.001, None, None, EAGER),
        (None, 0.001, 0.002, FUSED),
        (0.002, 0.003, 0.001, UNPRUNED),
    ],
)
def test_the_smaller_layer_runs_in_its_faster_form_as_the_dense_one_does(eager, fused, ours, chosen) -> None:
    timed = TimedBench({"dense conv alone": 0.001, EAGER: eager, FUSED: fused, UNPRUNED: ours})
    found = timed.candidates(PrunedLayer(JOB), ("filter",))[-1]
    assert found.pattern == "filter" and found.note == f"{chosen}, channels_last"
    assert found.run is not None and found.run() == timed.costs[chosen]


def test_a_smaller_layer_that_every_form_declines_says_so() -> None:
    timed = TimedBench({"dense conv alone": 0.001, EAGER: None, FUSED: None, UNPRUNED: None})
    found = timed.candidates(PrunedLayer(JOB), ("filter",))[-1]
    assert found.run is None and found.note.count("no such form") == 3


def test_a_layer_that_no_launch_takes_has_a_row_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*_args: object, **_options: object) -> None:
        raise ValueError("expected a launch that this card runs, got gathered: expected offsets below 2^31")

    monkeypatch.setattr(bench, "choose", refuses)
    timed = TimedBench({"dense conv alone": 0.001, EAGER: 0.002, FUSED: 0.001})
    found = timed.candidates(PrunedLayer(JOB), ("bcbp", LONGEST))[-2:]
    assert [one.run for one in found] == [None, None]
    assert all("expected offsets below 2^31" in one.note for one in found)
    assert found[0].wit == 0 < (found[1].wit or 0.0)


def test_waves_are_those_of_the_chosen_launch_on_this_card(monkeypatch: pytest.MonkeyPatch) -> None:
    timed = TimedBench({})
    monkeypatch.setattr(timed, "_card", lambda: HOPPER)
    layer, maps = layer_on_maps()
    config = LaunchConfig(64, 64, 128, 64)
    chosen = Choice(lambda: None, GATHERED, config, "")
    assert timed._waves(chosen, layer, maps) == waves(config, work_of(layer, maps), HOPPER)
    assert timed._waves(replace(chosen, engine=STREAMING), layer, maps) is None


def test_a_form_that_cannot_be_recorded_declines(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tensors lie on the CPU; the bench believes in a GPU, whose capture is refused."""

    def refuses(_run: Callable[[], object]) -> None:
        raise RuntimeError("operation not permitted when stream is capturing\nmuch more")

    monkeypatch.setattr(bench, "captured", refuses)
    layer, believing = PrunedLayer(JOB), GpuBench(FP32)
    inputs = [Inputs(torch.randn(8, 16, 4, 4), torch.randn(8, 32, 4, 4))]
    believing._device = "cuda"
    found = believing._library(EAGER, layer, layer.dense(), inputs)
    assert found.run is None
    assert found.note == "cuDNN declined: operation not permitted when stream is capturing"
    believing._device = "cpu"
    assert believing._library(EAGER, layer, layer.dense(), inputs).run is not None
