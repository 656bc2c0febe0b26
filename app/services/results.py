"""What stored runs were asked and hold: plans, answers, images, files to take away."""

from __future__ import annotations

import json
from pathlib import Path

import streamlit as st

from app.asked import asked_of
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


def asked(run: RunView[CompareRequest]) -> dict[str, str]:
    """What a run was asked, see `asked_of`; of one that has ended the report is read for it but once."""
    return asked_of(run) if run.active else _asked(run.id, run.state, run)


@st.cache_data(max_entries=1000, show_spinner=False)  # more than a history that people can look through
def _asked(run_id: str, state: str, _run: RunView[CompareRequest]) -> dict[str, str]:
    return asked_of(_run)


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
    request = run.request
    owners.check_may_use(request)
    images = models.test_images(request.model, request.data, json.dumps(request.adjustment.to_json()))
    return same_images(_predictions(run), images)


def _predictions(run: RunView[CompareRequest]) -> Predictions:
    return read_predictions(stores.runs().folder(run.id) / PREDICTIONS)


def export_archive(request: ExportRequest) -> Path:
    """Where the files of a finished export lie, all in one. Raises NotYours."""
    owners.check_may_use(request)
    return stores.runs().root / EXPORTED / f"{request.id}.zip"
