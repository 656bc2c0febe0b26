"""What the scope and its edits come to: the layers, the plan, and whether there are images."""

from __future__ import annotations

from app.services import models, planning
from app.state import keys, settings, uploads
from app.state.edits import Edits
from app.titles import CRITERION_TITLES, PRESET_TITLES
from bcbp.plan import PruningPlan


def edits() -> Edits:
    """The edits of the scope's model."""
    named = {keys.ALLOCATION: PRESET_TITLES, keys.CRITERION: CRITERION_TITLES}
    return settings.edits(layer_names(), named)


def layer_names() -> tuple[str, ...]:
    return tuple(layer.name for layer in models.model(settings.scope().model).layers)


def plan(method: str | None = None) -> PruningPlan:
    """The plan of the scope and its edits, for the method in focus or another."""
    scope = settings.scope()
    spec = settings.spec(edits(), method=method or scope.method, layers=layer_names())
    return planning.plan(scope.model, spec, uploads.data())


def has_images() -> bool:
    """Whether there is something to test on: the scope's model comes with images, or some are given."""
    return models.model(settings.scope().model).dataset is not None or uploads.data() is not None


def costliest(plan: PruningPlan) -> str:
    """The planned layer with the most multiply-adds; of equals, the one with the most tiles."""
    model = models.model(settings.scope().model)
    return max(plan, key=lambda layer: (model.layer(layer.name).macs, len(layer.mask.keep))).name
