"""From a plan to the network that comes of it: every recovery up to one, the best on validation images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from torch import nn

from bcbp.calibration import calibration_images
from bcbp.data import load_images, training_images
from bcbp.intake.model import LoadedModel
from bcbp.masking import apply_plan
from bcbp.plan import PruningPlan
from bcbp.recovery import FINETUNE, RecoveryTask
from bcbp.recovery.ladder import Rung, climb
from bcbp.recovery.tuning import Tuning
from bcbp.recovery.workshop import Workshop


def recover(
    model: LoadedModel,
    plan: PruningPlan,
    *,
    folder: Path | None = None,
    tuning: Tuning | None = None,
    workshop: Workshop | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> tuple[nn.Module, str]:
    """The pruned network in eval mode, and the name of the recovery it comes from ("none": masked only).

    Recovered up to `plan.spec.recovery` as a comparison does it; without images nothing is recovered.
    `folder` holds images that are not bundled. Raises DataError, SpecError, Stopped, CheckpointError.
    """
    if model.dataset is None:
        return apply_plan(model, plan), "none"
    validation, lessons = load_images(model.dataset, "validation", folder), None
    if plan.spec.recovery == FINETUNE.name:
        train = training_images(model.dataset, folder)
        lessons, _ = (workshop or Workshop()).lessons(model.module, train, validation, tuning or Tuning())
    images = calibration_images(model, folder, seed=plan.spec.seed)
    task = RecoveryTask(model, plan, model.module, images, lessons, should_stop=should_stop)
    best: Rung | None = None
    for rung in climb(task, top=plan.spec.recovery, validation=validation):
        best = rung if rung.kept else best
    assert best is not None  # the first rung is kept until a better one comes
    return best.module, best.name
