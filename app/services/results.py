"""What stored runs hold beyond their reports: plans, answers, images, files to take away."""

from __future__ import annotations

import json
from pathlib import Path

from app.services import models, owners, planning, stores
from bcbp.changes import Changes, changes_of
from bcbp.data import Images
from bcbp.export_request import ExportRequest
from bcbp.jobs import RunView
from bcbp.jobs.kinds import EXPORTED, PREDICTIONS
from bcbp.plan import PruningPlan
from bcbp.predictions import Predictions, read_predictions, same_images
from bcbp.report import row_of, settled_spec
from bcbp.request import CompareRequest
from bcbp.spec import PruneSpec


def plan(run: RunView[CompareRequest], key: str) -> PruningPlan:
    """The plan that the row of that key of a run had, whatever was measured since. Raises NotYours."""
    owners.check_may_use(run.request)
    return planning.plan(run.request.model, spec(run, key), run.request.data)


def spec(run: RunView[CompareRequest], key: str) -> PruneSpec:
    """The spec of that plan."""
    return settled_spec(run.request.spec, row_of(run.report or {}, key))


def changes(run: RunView[CompareRequest], key: str) -> Changes:
    """What the row of that key of a run answers otherwise than dense. Raises DataError."""
    return changes_of(_predictions(run), row_of(run.report or {}, key))


def tested_images(run: RunView[CompareRequest]) -> Images:
    """The images that a run was tested on; nothing is fetched. Raises DataError, ModelError, NotYours."""
    asked = run.request
    owners.check_may_use(asked)
    images = models.test_images(asked.model, asked.data, json.dumps(asked.adjustment.to_json()))
    return same_images(_predictions(run), images)


def _predictions(run: RunView[CompareRequest]) -> Predictions:
    return read_predictions(stores.runs().folder(run.id) / PREDICTIONS)


def export_archive(request: ExportRequest) -> Path:
    """Where the files of a finished export lie, all in one. Raises NotYours."""
    owners.check_may_use(request)
    return stores.runs().root / EXPORTED / f"{request.id}.zip"
