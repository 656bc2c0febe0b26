"""Plans of models, what they go by, and what is expected of them."""

from __future__ import annotations

import json
from contextlib import nullcontext

import streamlit as st

from app.components.mask_canvas import Magnitude
from app.services import machine, models, stores
from app.words import plan_words
from bcbp import costs
from bcbp.allocation import ALLOCATIONS
from bcbp.calibration import ModelStats, calibration_images, collect
from bcbp.criteria import CRITERIA
from bcbp.devices import DEVICES
from bcbp.errors import DataError, SpecError
from bcbp.gathering import gather
from bcbp.latency import Reach
from bcbp.mask_store import masked_plan
from bcbp.measured import SCAN, Measured
from bcbp.picture_store import place_of
from bcbp.plan import LayerPlan, PruningPlan
from bcbp.planning import Planner
from bcbp.sensitivity import Scan
from bcbp.spec import DENSE, PruneSpec
from kernels.engines import decline_reason


def planner(name: str, criterion: str, tile: int, folder: str | None = None, seed: int = 0) -> Planner:
    """Scores of every layer, once per model, criterion, tile and seed. Raises SpecError, DataError.

    `folder` holds the images for a criterion that needs them, where they are not bundled.
    """
    seen = _seen(criterion, folder)
    return _planner(name, criterion, tile, seen, seed, models.stamp(seen))


def _seen(criterion: str, folder: str | None) -> str | None:
    """`folder`, where the criterion looks at images."""
    return folder if CRITERIA[criterion].needs else None


# In what follows `stamp` and `version` are read by the cache alone, which skips names with a leading _.
@st.cache_resource(max_entries=4, show_spinner=False)
def _planner(name: str, criterion: str, tile: int, folder: str | None, seed: int, stamp: str) -> Planner:
    loaded, needs = models.model(name), CRITERIA[criterion].needs
    stats = _stats(name, loaded.digest, needs, folder, seed, stamp) if needs else None
    return Planner(loaded, criterion=criterion, tile=tile, seed=seed, stats=stats)


@st.cache_resource(max_entries=2, show_spinner=plan_words.CALIBRATING)
def _stats(name: str, digest: str, needs: str, folder: str | None, seed: int, stamp: str) -> ModelStats:
    """What criteria need of calibration images: once per content of a model, for every tile and ratio."""
    loaded = models.with_images(name, folder)
    assert loaded.digest == digest
    return collect(needs, loaded, calibration_images(loaded, place_of(folder), seed=seed))


def plan(name: str, spec: PruneSpec, folder: str | None = None) -> PruningPlan:
    """The plan, by what is measured now if its allocation goes by that. Raises SpecError, PassportError."""
    known, seen = measured(name, spec, folder), _seen(spec.criterion, folder)
    version = f"{models.stamp(seen)} {_version(spec, known)}"
    with st.spinner(plan_words.PERMUTING) if spec.permute else nullcontext():
        return _plan(name, json.dumps(spec.to_json(), sort_keys=True), seen, version, known)


@st.cache_resource(max_entries=8, show_spinner=False)  # a page needs up to six; VGG-16 has 138 MB of bits
def _plan(name: str, spec: str, folder: str | None, version: str, _measured: Measured) -> PruningPlan:
    parsed = PruneSpec.from_json(json.loads(spec))
    if parsed.masks:
        return masked_plan(models.model(name), parsed)
    return planner(name, parsed.criterion, parsed.tile, folder, parsed.seed).plan(parsed, _measured)


def forget() -> None:
    """Empty every cache that follows from the weights of a model by its name alone."""
    _planner.clear()
    _plan.clear()


def measured(name: str, spec: PruneSpec, folder: str | None = None) -> Measured:
    """What the allocation of `spec` goes by. Raises PassportError, DataError."""
    scanned = SCAN in ALLOCATIONS[spec.allocation].reads
    return gather(
        models.with_images(name, folder) if scanned else models.model(name),
        spec,
        scans=stores.scans(),
        passports=stores.passports(),
        device=machine.live_devices()[0],
        conditions=machine.conditions(),
    )


def _version(spec: PruneSpec, known: Measured) -> str:
    """Changes with what is measured: rows are only ever added to a scan, a passport is a file."""
    path = stores.passports().live_path(machine.live_devices()[0], machine.conditions())
    times, scan = path.stat().st_mtime_ns if known.times is not None else 0, known.scan
    return f"{times} {scan.key.id} {len(scan.rows)}" if scan is not None else f"{times}"


def reach(name: str, spec: PruneSpec, folder: str | None = None) -> Reach | None:
    """Which latency budgets can be met; None where nothing is measured at that batch size."""
    known = measured(name, spec, folder)
    if known.times is None or not known.times.dense:
        return None
    return planner(name, spec.criterion, spec.tile, folder).reach(spec, known)


def scan(name: str, method: str, criterion: str, tile: int, data: str | None) -> Scan | None:
    """What is measured so far of how sensitive each layer is to a method, by the images that are named."""
    try:
        source = models.with_images(name, data).images_digest
    except (DataError, SpecError):  # a run says what is wrong with them
        return None
    return stores.scans().find(
        digest=models.model(name).digest,
        source=source,
        pattern=method,
        criterion=criterion,
        tile=tile,
        seed=PruneSpec().seed,
    )


def magnitude(name: str, tile: int, layer: LayerPlan) -> Magnitude:
    """L2 norms of the layer's column vectors, whatever they are ranked by; in tiles of its mask's filters."""
    return Magnitude(tile, planner(name, "l2", tile).layer_scores(layer.name, layer.mask.order))


def macs_left(name: str, planned: PruningPlan) -> float:
    """Share of the network's multiply-adds per image that a plan leaves."""
    return 1 - costs.removed_macs(models.model(name), planned) / models.network_macs(name)


def expected_engine(name: str, layer: LayerPlan) -> tuple[str, str]:
    """The engine that is expected to run a planned layer, and why. Measuring may still find dense faster."""
    model = models.model(name)
    packed = layer.mask.pack(model.weight(layer.name), model.layer(layer.name).geometry)
    sparse = DEVICES[machine.live_devices()[0]].engine
    declined = decline_reason(sparse, packed)
    return (sparse, "takes this layer") if declined is None else (DENSE, f"{sparse} declined: {declined}")
