"""A comparison on the GPU, from the plan to the times of a session."""

from __future__ import annotations

import pytest
import torch

from bcbp.baselines import Declined, dense_candidates
from bcbp.intake.model import LoadedModel, adopt
from bcbp.intake.residual import ResidualNet
from bcbp.planning import make_plan
from bcbp.request import CompareRequest
from bcbp.rows import key_of_spec
from bcbp.runtime import GpuRuntime
from bcbp.spec import PruneSpec
from bcbp.timing import TimingJob, time_batch
from kernels.gpu.engine import interpreted
from kernels.precision import FP16, FP32, Precision
from tests.bcbp.networks import BranchingNet, randomise

DEVICE = "cpu" if interpreted() else "cuda"
SPEC = PruneSpec(tile=8)
REQUEST = CompareRequest(
    methods=("bcbp", "filter"), spec=SPEC, batches=(1,), rounds=5, device="cuda", precision="fp16"
)


def small_model() -> LoadedModel:
    torch.manual_seed(0)
    module = ResidualNet(in_channels=1, widths=(8, 16), blocks=(1, 1), classes=5)
    return adopt(randomise(module), name="sample", input_shape=(1, 6, 6))


class HostTimed(GpuRuntime):
    """Where kernels are interpreted there are no events to time by, and nothing to compile for."""

    def __init__(self, precision: Precision) -> None:
        super().__init__(precision, DEVICE)
        if interpreted():
            self.forms = {name: form for name, form in self.forms.items() if "compiled" not in name}

    def timer(self):
        return None if interpreted() else super().timer()


def test_a_session_times_dense_forms_and_pruned_networks_against_each_other() -> None:
    model = small_model()
    plans = {key_of_spec(spec): make_plan(model, spec) for spec in REQUEST.row_specs}
    runtime = HostTimed(FP32 if interpreted() else FP16)  # float16 is slow on a CPU
    told: list[str] = []
    result = time_batch(
        TimingJob(REQUEST, plans), model, 1, runtime=runtime, tell=lambda _, words: told.append(words)
    )
    assert set(result["dense"]) == set(runtime.forms) and result["declined"] == {}
    assert {"eager", "eager + graph", "folded + graph"} <= set(result["dense"])
    assert "physically smaller" in result["methods"]["filter 0.5"]["engine"]
    bcbp = result["methods"]["bcbp 0.5"]
    pruned = {layer["name"] for layer in bcbp["layers"] if layer["engine"] == "triton"}
    if interpreted():  # nothing is timed there, so every layer runs in kernels, and no speed is claimed
        assert {planned.name for planned in plans["bcbp 0.5"]} <= pruned
        assert not bcbp["speed_claim"]
    assert bcbp["speedup"]["verdict"] and told


def test_a_form_that_does_not_take_a_network_declines_with_the_reason() -> None:
    module = randomise(BranchingNet())
    ready, declined = dense_candidates(module, forms=HostTimed(FP32).forms, input_shape=(1, 8, 8), batch=1)
    reasons = dict(declined)
    assert "eager" in {one.name for one in ready}
    assert "folded failed" in reasons["folded"] and "control flow" in reasons["folded"]
    assert "view size" in reasons["channels_last"]


def test_the_interpreter_has_no_ceiling_and_a_gpu_has_one() -> None:
    runtime = GpuRuntime(FP16, DEVICE)
    if interpreted():
        with pytest.raises(Declined, match="kernels are interpreted here"):
            runtime.ceiling()
    else:
        assert runtime.ceiling().precision == "fp16"


@pytest.mark.parametrize("precision", [FP32, FP16], ids=lambda one: one.name)
def test_every_dense_form_computes_the_network(precision: Precision) -> None:
    model, runtime = small_model(), HostTimed(precision)
    x = runtime.inputs(model.input_shape, 2)
    expected = runtime.reference(model.module)(x)
    for build in runtime.forms.values():
        found = build(model.module, model.input_shape, 2)(x)
        assert found.dtype == torch.float32
        error = float((found - expected).abs().max() / expected.abs().max())
        assert error <= runtime.tolerance(model.module)
