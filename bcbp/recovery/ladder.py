"""The ladder: every recovery from none up to the one asked for, each tried, the best kept on validation."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

from torch import nn

from bcbp.data import Images
from bcbp.errors import DataError
from bcbp.evaluation import Quality, accuracy
from bcbp.recovery import RECOVERIES
from bcbp.recovery.base import RecoveryTask
from bcbp.recovery.finetune import VALIDATION_IMAGES


@dataclass(frozen=True, eq=False)
class Rung:
    """One recovery tried: its network, the `seconds` it took, those before an interruption included, and its
    quality on validation images.

    `kept` if no rung below it is as good on validation: of equals the lower, cheaper one stays.
    """

    name: str
    module: nn.Module
    seconds: float
    validation: Quality
    kept: bool
    notes: tuple[str, ...] = ()


def rungs_up_to(top: str) -> tuple[str, ...]:
    """The names of the rungs, lowest first: the table of recoveries in its order."""
    names = tuple(RECOVERIES)
    return names[: names.index(top) + 1]


def climb(task: RecoveryTask, *, top: str, validation: Images) -> Iterator[Rung]:
    """Every rung up to `top`, as soon as it is done; each starts from the best below it.

    The choice is made on `validation` images alone. Raises Stopped; DataError for the test images.
    """
    if validation.part == "test":
        raise DataError(
            "Expected validation images to choose a recovery on; got the test images. Pass another part."
        )
    most = -1
    for name in rungs_up_to(top):
        began = time.monotonic()
        recovered = RECOVERIES[name].apply(task)
        seconds = recovered.seconds_before + time.monotonic() - began
        quality = accuracy(
            recovered.module, validation, limit=VALIDATION_IMAGES, should_stop=task.should_stop
        )
        kept = quality.correct > most
        yield Rung(name, recovered.module, seconds, quality, kept, recovered.notes)
        if kept:
            most, task = quality.correct, replace(task, start=recovered.module)
