"""Released weights for models that have none: which could be fetched, and what is forgotten then."""

from __future__ import annotations

from app.services import models, planning
from bcbp.intake.released import Release, fetch, releases
from bcbp.intake.signatures import signatures


def missing(name: str) -> Release | None:
    """The newest weights that could be fetched for a model that has none; None if there are no such."""
    known = name in signatures() and not models.model(name).trained
    return next(iter(releases(name)), None) if known else None


def download(name: str, release: Release) -> None:
    """Fetch them, and forget what was known of the model without. Raises ModelError."""
    fetch(release)
    forget_models()


def forget_models() -> None:
    """Empty every cache that holds a model under its name alone, or what follows from its weights."""
    models.forget()
    planning.forget()
