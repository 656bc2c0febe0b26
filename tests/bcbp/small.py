"""A small network with small images under the name of the sample; timing without a process or rates."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from bcbp import baselines, contestants, experiment, timing
from bcbp.data import FASHION_MNIST, DataSet, ImageSet
from bcbp.intake.model import LoadedModel, adopt
from bcbp.intake.residual import ResidualNet
from bcbp.runtime import CpuRuntime
from kernels.measure import Stopped
from kernels.roofline import Ceiling

TEST_IMAGES = 120
CEILING = Ceiling(flops=4e11, bytes=2e10, threads=1)  # as two cores may have it


def small_model(*, trained: bool = True) -> LoadedModel:
    """10 classes, 28 x 28 pixels, 16 and 32 channels; random weights that pass for trained ones."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = ResidualNet(in_channels=1, widths=(16, 32), blocks=(1, 1), classes=10)
    return adopt(
        module,
        name="sample",
        title="Small",
        input_shape=FASHION_MNIST.shape,
        dataset=FASHION_MNIST if trained else None,
        trained=trained,
        note="" if trained else "Random weights.",
    )


def small_images(_dataset: DataSet, part: str, _folder: Path | None = None) -> ImageSet:
    generator = torch.Generator().manual_seed(len(part))
    count = TEST_IMAGES if part == "test" else 60
    pixels = torch.randint(0, 256, (count, *FASHION_MNIST.shape), generator=generator, dtype=torch.uint8)
    return ImageSet(FASHION_MNIST, part, pixels, torch.randint(0, 10, (count,), generator=generator))


def time_here(
    job: timing.TimingJob, *, on_event: Callable[[dict[str, Any]], None], should_stop: Callable[[], bool]
) -> None:
    """Stands in for `run_timing`: the same events, in this process."""
    if should_stop():
        raise Stopped
    timing.time_networks(timing.TimingJob.from_json(job.to_json()), on_event)


def use_small_model(patch: pytest.MonkeyPatch, *, trained: bool = True) -> LoadedModel:
    """Have comparisons load the small network and images, and time here, without compiling."""
    model = small_model(trained=trained)
    for module in (experiment, timing):
        patch.setattr(module, "load_model", lambda _name: model)
    patch.setattr(experiment, "load_images", small_images)
    patch.setattr(experiment, "training_images", lambda dataset, _folder: small_images(dataset, "train"))
    patch.setattr(experiment, "run_timing", time_here)
    patch.setattr(CpuRuntime, "ceiling", lambda _self: CEILING)
    patch.delitem(baselines.CPU_FORMS, "compiled")
    assert contestants.dense_candidates is baselines.dense_candidates
    return model
