"""The only file that caches: models, planners, plans, the run store and the job queue.

Caches are keyed by strings and numbers alone (hashing arrays samples them) and bounded. What they hold is
frozen and shared between sessions; pruning works on copies.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import streamlit as st

from app import wording
from app.components.mask_canvas import Magnitude
from bcbp.allocation import ALLOCATIONS
from bcbp.calibration import ModelStats, calibration_images, collect
from bcbp.criteria import CRITERIA
from bcbp.geometry import TILE_ROWS
from bcbp.intake.architectures import MODELS, load_model
from bcbp.intake.model import LoadedModel
from bcbp.jobs import JobQueue, RunStore, RunView
from bcbp.patterns import PATTERNS
from bcbp.plan import LayerPlan, PruningPlan
from bcbp.planning import Planner, default_exclude
from bcbp.recovery import RECOVERIES
from bcbp.request import CompareRequest
from bcbp.spec import DENSE, PruneSpec
from kernels.device import environment
from kernels.engines import decline_reason
from kernels.pack import pack

SPARSE = "cpu-tiles"

TILES = tuple(rows for rows in TILE_ROWS if rows > 1)
PATTERN_TITLES = {name: wording.capital(pattern.label) for name, pattern in PATTERNS.items()}
METHOD_TITLES = {DENSE: "Dense"} | PATTERN_TITLES
PRESET_TITLES = {name: allocation.title for name, allocation in ALLOCATIONS.items()}
CRITERION_TITLES = {name: criterion.title for name, criterion in CRITERIA.items()}
RECOVERY_TITLES = {name: recovery.title for name, recovery in RECOVERIES.items()}
MODEL_NAMES = tuple(MODELS)


def choices() -> dict[str, Mapping[str, str | int]]:
    """What the scope bar offers: values by key and by the words a link may use, names or labels."""
    return {
        "model": {name: name for name in MODELS},
        "tile": {str(rows): rows for rows in TILES},
        "method": {name: name for name in PATTERNS} | {label: name for name, label in PATTERN_TITLES.items()},
    }


@st.cache_resource(max_entries=3, show_spinner=False)
def model(name: str) -> LoadedModel:
    """The model of that name; the three used last stay in memory."""
    return load_model(name)


@st.cache_resource(max_entries=4, show_spinner=False)
def planner(name: str, criterion: str, tile: int, folder: str | None = None) -> Planner:
    """Scores of every layer, once per model, criterion and tile. Raises SpecError, DataError.

    `folder` holds the images for a criterion that needs them, where they are not bundled.
    """
    loaded, needs = model(name), CRITERIA[criterion].needs
    stats = _stats(name, loaded.digest, needs, folder) if needs else None
    return Planner(loaded, criterion=criterion, tile=tile, stats=stats)


@st.cache_resource(max_entries=2, show_spinner=wording.CALIBRATING)
def _stats(name: str, digest: str, needs: str, folder: str | None) -> ModelStats:
    """What criteria need of calibration images: once per content of a model, for every tile and ratio."""
    loaded = model(name)
    assert loaded.digest == digest
    return collect(needs, loaded, calibration_images(loaded, Path(folder) if folder else None))


def plan(name: str, spec: PruneSpec, folder: str | None = None) -> PruningPlan:
    return _plan(name, json.dumps(spec.to_json(), sort_keys=True), folder)


@st.cache_resource(max_entries=8, show_spinner=False)  # a page needs up to six; VGG-16 has 138 MB of bits
def _plan(name: str, spec: str, folder: str | None) -> PruningPlan:
    parsed = PruneSpec.from_json(json.loads(spec))
    return planner(name, parsed.criterion, parsed.tile, folder).plan(parsed)


@st.cache_data(max_entries=16, show_spinner=False)
def left_dense(name: str) -> dict[str, str]:
    """Layers that stay dense unless they are given a ratio, with the reason."""
    return dict(default_exclude(model(name)))


def magnitude(name: str, tile: int, layer: str) -> Magnitude:
    """L2 norms of the layer's column vectors, whatever they are ranked by."""
    return Magnitude(tile, planner(name, "l2", tile).layer_scores(layer))


def macs_left(name: str, planned: PruningPlan) -> float:
    """Share of the network's multiply-adds per image that a plan leaves."""
    loaded = model(name)
    removed = {layer.name: layer.ratio for layer in planned}
    left = sum(info.macs * (1 - removed.get(info.name, 0.0)) for info in loaded.layers)
    return left / sum(info.macs for info in loaded.layers)


def expected_engine(name: str, layer: LayerPlan) -> tuple[str, str]:
    """The engine that is expected to run a planned layer, and why. Measuring may still find dense faster."""
    if not layer.ratio:
        return DENSE, "its mask keeps every weight"
    info, mask = model(name).layer(layer.name), layer.mask
    packed = pack(model(name).weight(layer.name), mask.keep, mask.rows, mask.tile.rows, info.geometry)
    declined = decline_reason(SPARSE, packed)
    return (SPARSE, "takes this layer") if declined is None else (DENSE, f"{SPARSE} declined: {declined}")


@st.cache_resource(show_spinner=False)
def store() -> RunStore:
    return RunStore()


@st.cache_resource(show_spinner=False)
def queue() -> JobQueue:
    return JobQueue(store())


def submit(request: CompareRequest) -> str:
    """Queue a comparison; gives its run id."""
    return queue().submit(request)


def runs() -> tuple[RunView, ...]:
    """All runs on this machine, newest first."""
    return store().list()


@st.cache_data(ttl=5, max_entries=1, show_spinner=False)
def machine() -> dict[str, Any]:
    """This machine as it is now."""
    return environment()
