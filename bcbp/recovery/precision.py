"""Whether bf16 pays for training on this device: measured, since processors differ."""

from __future__ import annotations

import copy
import time
from dataclasses import dataclass
from statistics import median

import torch
from torch import nn

from bcbp.data import Images
from bcbp.recovery.tuning import Tuning
from bcbp.team import Team
from bcbp.training import Conditions, Training

_ROUNDS = 5
# A smaller gain would not be worth the coarser gradients.
_GAIN = 1.1


@dataclass(frozen=True)
class PrecisionChoice:
    """Whether to run in `bf16`, and the figures or the wish that say why."""

    bf16: bool
    reason: str


def choose_precision(module: nn.Module, images: Images, tuning: Tuning, team: Team) -> PrecisionChoice:
    """What `tuning` asks for; for "auto" the faster of both on one batch of `images`, by interleaved medians.

    Works on copies of `module`. One choice is made for all methods of a comparison.
    """
    if tuning.precision != "auto":
        return PrecisionChoice(tuning.precision == "bf16", f"{tuning.precision}, as asked for")
    alone, batch = Team(device=team.device), images.head(tuning.batch)
    rivals = [
        Training(copy.deepcopy(module), batch, tuning.recipe, Conditions(bf16=bf16, team=alone))
        for bf16 in (False, True)
    ]
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(_ROUNDS + 1):
        for training, taken in zip(rivals, times, strict=True):
            taken.append(_step_seconds(training, team.device))
    full, half = (1e3 * median(taken[1:]) for taken in times)  # the first step compiles and allocates
    bf16 = half * _GAIN < full
    name = "bf16" if bf16 else "fp32"
    return PrecisionChoice(bf16, f"{name}: a step took {half:.0f} ms in bf16, {full:.0f} ms in float32")


def _step_seconds(training: Training, device: torch.device) -> float:
    """One pass over one batch, until the device is done."""
    began = time.perf_counter()
    training.epoch(0)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - began
