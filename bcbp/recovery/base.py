"""What a recovery is: a rung of the ladder from the masked network upwards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from torch import nn

from bcbp.data import Images
from bcbp.errors import DataError
from bcbp.intake.model import LoadedModel
from bcbp.plan import PruningPlan
from bcbp.recovery.tuning import Lessons
from bcbp.table import Entry


@dataclass(frozen=True, eq=False)
class RecoveryTask:
    """What a recovery gets: the original `model`, the `plan`, and calibration images of the training set.

    `start` is the best network of the rungs below, for recoveries that go on from there; `lessons` are for
    those that train. `tell` takes the share done; a recovery raises Stopped soon after `should_stop` says
    so. Nothing here depends on the pattern: every method has the same budget. Raises DataError for the test
    images.
    """

    model: LoadedModel
    plan: PruningPlan
    start: nn.Module
    images: Images
    lessons: Lessons | None = None
    tell: Callable[[float], None] = lambda _share: None
    should_stop: Callable[[], bool] = lambda: False

    def __post_init__(self) -> None:
        if self.images.part == "test":
            raise DataError(
                "Expected calibration images for a recovery; got the test images. Pass another part."
            )


@dataclass(frozen=True, eq=False)
class Recovered:
    """A recovered copy in eval mode, pruned zeros still zero; `notes` say what was left out, and why.

    `seconds_before` are those that an earlier run spent on it, which was taken up from a checkpoint.
    """

    module: nn.Module
    notes: tuple[str, ...] = ()
    seconds_before: float = 0.0


class Recovery(Entry, Protocol):
    def apply(self, task: RecoveryTask) -> Recovered: ...
