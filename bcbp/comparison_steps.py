"""What a comparison will do, step by step, and about how long each step takes."""

from __future__ import annotations

from bcbp.calibration import IMAGES
from bcbp.intake.model import LoadedModel
from bcbp.patterns import PATTERNS
from bcbp.recovery import FINETUNE
from bcbp.recovery.finetune import VALIDATION_IMAGES
from bcbp.recovery.ladder import rungs_up_to
from bcbp.request import CompareRequest
from bcbp.spec import PruneSpec

# Rough costs on two AVX-512 cores, in seconds; they only weigh the steps of the progress bar.
_MACS_PER_SECOND = 1.2e11
_PLAN_SECONDS = 1.0
_DENSE_SECONDS, _ROW_SECONDS = 9.0, 1.5  # to build the networks that are timed
_TRAINING_COST = 4  # forward, twice as much backward, and less even layers

Steps = list[tuple[str, float]]


def planned_steps(request: CompareRequest, model: LoadedModel, tested: int, trained: int) -> Steps:
    """Every step with its rough cost in seconds; `tested` and `trained` are numbers of images, 0 for none."""
    image = sum(layer.macs for layer in model.layers) / _MACS_PER_SECOND
    rows = len(request.row_specs)
    accuracy = _accuracy_steps(request, image, tested, trained) if tested else []
    built, calls = _DENSE_SECONDS + _ROW_SECONDS * rows, 2 * request.rounds * (4 + rows)
    timed = [
        (f"Latency at batch {batch}", built + min(60.0, calls * batch * image)) for batch in request.batches
    ]
    return [("Prune", _PLAN_SECONDS), *accuracy, *timed]


def _accuracy_steps(request: CompareRequest, image: float, tested: int, trained: int) -> Steps:
    """`image` is the cost of one."""
    tunes = request.spec.recovery == FINETUNE.name
    rungs = len(rungs_up_to(request.spec.recovery)) - tunes
    test, recover = image * tested, image * (IMAGES + VALIDATION_IMAGES)
    epoch = _TRAINING_COST * image * trained + image * VALIDATION_IMAGES
    steps = [("Dense: accuracy", test)]
    for spec in request.row_specs:
        title = _title(request, spec)
        steps.append((f"{title}: recover, accuracy", rungs * (test + recover)))
        if tunes:
            steps.append((f"{title}: fine-tune", request.tuning.epochs * epoch + test))
    return steps


def _title(request: CompareRequest, spec: PruneSpec) -> str:
    """A row's name for people, with its ratio where there are several."""
    title = PATTERNS[spec.pattern].title
    return title if len(request.asked_ratios) == 1 else f"{title} at {spec.ratio:g}"
