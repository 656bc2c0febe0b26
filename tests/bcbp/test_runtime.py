"""Where networks run: what exists, what goes together, and what every runtime gives."""

from __future__ import annotations

import pytest
import torch

from bcbp.baselines import Declined
from bcbp.errors import SpecError
from bcbp.request import CompareRequest
from bcbp.runtime import CpuRuntime, GpuRuntime, runtime
from kernels.precision import FP16, Precision
from kernels.roofline import Ceiling


def test_inputs_are_the_same_random_images_each_time() -> None:
    x = CpuRuntime().inputs((3, 5, 4), 2)
    assert x.shape == (2, 3, 5, 4) and x.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(x, CpuRuntime().inputs((3, 5, 4), 2))
    assert x.unique().numel() == x.numel()


@pytest.mark.parametrize(
    ("device", "precision", "words"),
    [
        ("tpu", "fp32", r"device out of cpu, cuda; got 'tpu'"),
        ("cpu", "fp64", r"precision out of .*; got 'fp64'"),
        ("cpu", "fp16", r"Expected fp32 on device cpu.*got fp16"),
    ],
)
def test_a_device_that_does_not_exist_is_refused(device: str, precision: str, words: str) -> None:
    for made in (runtime, lambda device, precision: CompareRequest(device=device, precision=precision)):
        with pytest.raises(SpecError, match=words):
            made(device, precision)


def test_a_gpu_that_is_not_there_is_refused_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bcbp.runtime.missing_reason", lambda: "torch sees no NVIDIA GPU")
    with pytest.raises(SpecError, match=r"torch sees no NVIDIA GPU. Choose device cpu"):
        runtime("cuda", "fp16")


def test_the_processor_is_there() -> None:
    assert isinstance(runtime("cpu", "fp32"), CpuRuntime)


def test_a_machine_without_wide_vectors_has_no_ceiling_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kernels.cpu.engine.TilesEngine.available", lambda _self: "no wide vectors")
    with pytest.raises(Declined, match="no wide vectors"):
        CpuRuntime().ceiling()


def test_the_ceiling_of_the_processor_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kernels.cpu.engine.TilesEngine.available", lambda _self: None)
    monkeypatch.setattr("bcbp.runtime.measure_ceiling", lambda: Ceiling(1e11, 1e10, 2))
    assert CpuRuntime().ceiling() == Ceiling(1e11, 1e10, 2)


def test_a_card_without_room_for_the_measurement_has_no_ceiling_and_says_why(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ceiling = pytest.importorskip("kernels.gpu.ceiling", reason="triton is not installed")

    def runs_out(_precision: Precision) -> None:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nmuch more")

    monkeypatch.setattr(ceiling, "measure_ceiling", runs_out)
    monkeypatch.setattr("bcbp.runtime.interpreted", lambda: False)
    with pytest.raises(Declined, match=r"could not be measured: CUDA out of memory. Tried .* GiB.$"):
        GpuRuntime(FP16, "cpu").ceiling()
