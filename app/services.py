"""The only file that caches: models, planners, plans, the run store and the job queue.

Caches are keyed by strings and numbers alone (hashing arrays samples them) and bounded. What they hold is
frozen and shared between sessions; pruning works on copies.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path, PurePath
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import streamlit as st

from app import people, state, wording
from app.components.mask_canvas import Magnitude
from app.html_report import page
from app.titles import METHOD_TITLES as METHOD_TITLES
from app.titles import PATTERN_TITLES as PATTERN_TITLES
from bcbp import costs
from bcbp.allocation import ALLOCATIONS
from bcbp.calibration import ModelStats, calibration_images, collect
from bcbp.changes import Changes, changes_of
from bcbp.criteria import CRITERIA
from bcbp.crossover import BreakEven, CrossoverMap, Slice, distinct_layers
from bcbp.data import Images, images_at_hand
from bcbp.device_request import DeviceRequest
from bcbp.devices import DEVICES, first_device, present_devices
from bcbp.errors import BcbpError, DataError, ModelError, NotYours, SpecError
from bcbp.export_request import ExportRequest
from bcbp.files import folder_stamp
from bcbp.gathering import gather
from bcbp.geometry import TILE_ROWS
from bcbp.image_folder import with_image_folder
from bcbp.intake.architectures import MODELS, check_model, load_model
from bcbp.intake.expectation import expected_preprocessing
from bcbp.intake.inference import Match, ranked
from bcbp.intake.model import LoadedModel
from bcbp.intake.released import Release, fetch, releases
from bcbp.intake.signatures import signatures
from bcbp.intake.uploads import Upload, UploadStore, content_id, reference_of
from bcbp.jobs import JobQueue, RunNotFound, RunStore, RunView, archive
from bcbp.jobs.kinds import EXPORTED, PREDICTIONS
from bcbp.jobs.owners import Owners
from bcbp.latency import Reach
from bcbp.mask_store import MaskStore, masked_plan
from bcbp.measured import SCAN, Measured
from bcbp.passport import Passport, PassportError
from bcbp.passport_store import IMPORTED, PassportStore, Stored
from bcbp.patterns import PATTERNS
from bcbp.picture_store import Pictures, PictureStore, place_of, stored_id
from bcbp.plan import LayerPlan, PruningPlan
from bcbp.planning import Planner, default_exclude
from bcbp.predictions import read_predictions, same_images
from bcbp.preprocessing import Adjustment
from bcbp.recovery import RECOVERIES
from bcbp.report import row_of, settled_spec
from bcbp.request import CompareRequest
from bcbp.sensitivity import Scan, ScanStore
from bcbp.sensitivity_request import SensitivityRequest
from bcbp.spec import DENSE, PruneSpec
from kernels.device import environment
from kernels.engines import ENGINE_NAMES, decline_reason, engine
from kernels.layers import LayerShape
from kernels.precision import PRECISIONS

TILES = tuple(rows for rows in TILE_ROWS if rows > 1)
PRESET_TITLES = {name: allocation.title for name, allocation in ALLOCATIONS.items()}
CRITERION_TITLES = {name: criterion.title for name, criterion in CRITERIA.items()}
RECOVERY_TITLES = {name: recovery.title for name, recovery in RECOVERIES.items()}
PRECISION_TITLES = {name: precision.title for name, precision in PRECISIONS.items()}
MODEL_NAMES = tuple(MODELS)
ARCHITECTURES = tuple(dict.fromkeys((*MODELS, *signatures())))  # by name, weights or not
Checked = TypeVar("Checked")
Request = CompareRequest | DeviceRequest | SensitivityRequest | ExportRequest
# Things that can belong to somebody.
RUNS, IMPORTS, UPLOADS, MASKS, IMAGES = "runs", "imports", "uploads", "masks", "images"


def choices(asked: str | None, images: str | None) -> dict[str, Mapping[str, str | int]]:
    """What the scope bar offers: values by key and by the words a link may use, names or labels.

    `asked` is the model of the link: a stored file, too, can be one. `images` are stored ones of the link.
    """
    names = (*ARCHITECTURES, *((asked,) if asked and _is_stored(asked) else ()))
    return {
        "model": {name: name for name in names},
        "tile": {str(rows): rows for rows in TILES},
        "images": {images: images} if images and _are_stored(images) else {},
        "method": {name: name for name in PATTERNS} | {label: name for name, label in PATTERN_TITLES.items()},
    }


def _is_stored(name: str) -> bool:
    """Whether a model's name refers to a file that is on this machine."""
    try:
        check_model(name)
        reference = reference_of(name)
    except ModelError:
        return False
    if reference is None or reference.upload not in UploadStore().list():
        return False
    return is_mine(UPLOADS, reference.upload)


def _are_stored(images: str) -> bool:
    """Whether stored images of that id are on this machine, and of who is there."""
    return _holds(PictureStore(), images) and is_mine(IMAGES, images)


@contextmanager
def _as_file(name: str, content: bytes | memoryview) -> Iterator[Path]:
    """An uploaded file on disk, under its own name, for as long as it is read."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / (PurePath(name).name or "upload")
        path.write_bytes(content)
        yield path


def take_in(name: str, content: bytes | memoryview) -> str:
    """Read and keep an uploaded file; gives its id. Raises ModelError."""
    return _take_in(UploadStore(), UPLOADS, name, content, str)


def take_in_masks(model_name: str, name: str, content: bytes | memoryview) -> PruneSpec:
    """Read and keep a file of masks of a model; gives its spec. Raises ModelError, SpecError."""
    return _take_in(MaskStore(), MASKS, name, content, partial(masks_spec, model_name))


def _take_in(
    store: UploadStore | PictureStore,
    kind: str,
    name: str,
    content: bytes | memoryview,
    check: Callable[[str], Checked],
) -> Checked:
    """What `check` gives for the id of an uploaded file; what it refuses is kept only if it was before."""
    with _as_file(name, content) as path:
        known = content_id(path)
        was_there = _holds(store, known)
        was_mine = was_there and is_mine(kind, known)
        store.take_in(path)
    keep_owner(kind, known)
    try:
        return check(known)
    except BcbpError:
        if not was_mine and _drop(kind, known) and not was_there:
            store.forget(known)
        raise


def _holds(store: UploadStore | PictureStore, thing: str) -> bool:
    """Whether a store has a thing of that id."""
    try:
        store.read(thing)
    except BcbpError:
        return False
    return True


def masks_spec(model_name: str, masks: str) -> PruneSpec:
    """What a stored file of masks was made by, with its id. Raises ModelError, SpecError, NotYours."""
    found = MaskStore().plan(masks, model(model_name)).spec  # first: whatever a link says is no id before
    _check_mine(MASKS, masks)
    return found


def masks_name(masks: str) -> str:
    """The name under which a file of masks came; its id where the file is gone, which its plan then says."""
    try:
        return MaskStore().read(masks).name
    except ModelError:
        return masks


def forget_masks(masks: str) -> None:
    """Delete a file of masks, unless somebody else brought the same. Raises NotYours."""
    if _drop(MASKS, masks):
        MaskStore().forget(masks)


def take_in_images(name: str, content: bytes | memoryview, model_name: str) -> str:
    """Check, unpack and keep an uploaded zip of pictures for a model; gives its id. Raises DataError."""
    return _take_in(PictureStore(), IMAGES, name, content, partial(_check_images, model_name))


def _check_images(model_name: str, images_id: str) -> str:
    """The id of stored images that fit a model. Raises DataError."""
    found = images(images_id)
    try:
        with_images(model_name, found.reference)
    except DataError as error:  # no path of this machine is a visitor's concern
        raise DataError(str(error).replace(str(found.folder), "the zip")) from error
    return images_id


def images(images_id: str) -> Pictures:
    """What is known of stored images. Raises DataError."""
    return PictureStore().read(images_id)


def forget_images(images: str) -> None:
    """Delete stored images, unless somebody else uploaded the same. Raises NotYours."""
    if _drop(IMAGES, images):
        PictureStore().forget(images)


@st.cache_data(max_entries=4, show_spinner=False)
def upload(upload_id: str) -> Upload:
    """A stored file. Raises ModelError."""
    return UploadStore().read(upload_id)


@st.cache_data(max_entries=4, show_spinner=False)
def matches(upload_id: str) -> list[Match]:
    """How a stored file fits every known architecture, the best first."""
    return ranked(upload(upload_id).reading.shapes)


def forget_upload(upload_id: str) -> None:
    """Delete a stored file, unless somebody else uploaded the same. Raises NotYours."""
    if _drop(UPLOADS, upload_id):
        UploadStore().forget(upload_id)


def missing_weights(name: str) -> Release | None:
    """The newest weights that could be fetched for a model that has none; None if there are no such."""
    return next(iter(releases(name)), None) if name in signatures() and not model(name).trained else None


def fetch_weights(name: str, release: Release) -> None:
    """Download them, and forget what was known of the model without. Raises ModelError."""
    fetch(release)
    forget_models()


def forget_models() -> None:
    """Empty every cache that holds a model under its name alone, or what follows from its weights."""
    for cached in (model, _with_images, _test_images, _planner, _plan):
        cached.clear()


@st.cache_resource(max_entries=3, show_spinner=False)
def model(name: str) -> LoadedModel:
    """The model of that name; the three used last stay in memory."""
    return load_model(name)


def with_images(name: str, data: str | None, adjusted: str = "null") -> LoadedModel:
    """A model with the images that are named, as those of a request. Raises DataError, SpecError."""
    return _with_images(name, data, adjusted, _stamp(data))


def _stamp(data: str | None) -> str:
    """Changes with the files of a folder; stored images never change."""
    return folder_stamp(Path(data)) if data and stored_id(data) is None else ""


# In what follows `stamp` and `version` are read by the cache alone, which skips names with a leading _.
@st.cache_resource(max_entries=3, show_spinner=False)
def _with_images(name: str, data: str | None, adjusted: str, stamp: str) -> LoadedModel:
    return with_image_folder(model(name), place_of(data), Adjustment.from_json(json.loads(adjusted)))


def preprocessing(name: str) -> str:
    """How pictures are prepared for a model, and why so."""
    return expected_preprocessing(model(name)).words


def planner(name: str, criterion: str, tile: int, folder: str | None = None, seed: int = 0) -> Planner:
    """Scores of every layer, once per model, criterion, tile and seed. Raises SpecError, DataError.

    `folder` holds the images for a criterion that needs them, where they are not bundled.
    """
    seen = _seen(criterion, folder)
    return _planner(name, criterion, tile, seen, seed, _stamp(seen))


def _seen(criterion: str, folder: str | None) -> str | None:
    """`folder`, where the criterion looks at images."""
    return folder if CRITERIA[criterion].needs else None


@st.cache_resource(max_entries=4, show_spinner=False)
def _planner(name: str, criterion: str, tile: int, folder: str | None, seed: int, stamp: str) -> Planner:
    loaded, needs = model(name), CRITERIA[criterion].needs
    stats = _stats(name, loaded.digest, needs, folder, seed, stamp) if needs else None
    return Planner(loaded, criterion=criterion, tile=tile, seed=seed, stats=stats)


@st.cache_resource(max_entries=2, show_spinner=wording.CALIBRATING)
def _stats(name: str, digest: str, needs: str, folder: str | None, seed: int, stamp: str) -> ModelStats:
    """What criteria need of calibration images: once per content of a model, for every tile and ratio."""
    loaded = _with_images(name, folder, "null", stamp)
    assert loaded.digest == digest
    return collect(needs, loaded, calibration_images(loaded, place_of(folder), seed=seed))


def plan(name: str, spec: PruneSpec, folder: str | None = None) -> PruningPlan:
    """The plan, by what is measured now if its allocation goes by that. Raises SpecError, PassportError."""
    known, seen = measured(name, spec, folder), _seen(spec.criterion, folder)
    version = f"{_stamp(seen)} {_version(spec, known)}"
    with st.spinner(wording.PERMUTING) if spec.permute else nullcontext():
        return _plan(name, json.dumps(spec.to_json(), sort_keys=True), seen, version, known)


@st.cache_resource(max_entries=8, show_spinner=False)  # a page needs up to six; VGG-16 has 138 MB of bits
def _plan(name: str, spec: str, folder: str | None, version: str, _measured: Measured) -> PruningPlan:
    parsed = PruneSpec.from_json(json.loads(spec))
    if parsed.masks:
        return masked_plan(model(name), parsed)
    return planner(name, parsed.criterion, parsed.tile, folder, parsed.seed).plan(parsed, _measured)


def measured(name: str, spec: PruneSpec, folder: str | None = None) -> Measured:
    """What the allocation of `spec` goes by. Raises PassportError, DataError."""
    return gather(
        with_images(name, folder) if SCAN in ALLOCATIONS[spec.allocation].reads else model(name),
        spec,
        scans=scans(),
        passports=passports(),
        device=live_devices()[0],
        conditions=machine(),
    )


def _version(spec: PruneSpec, known: Measured) -> str:
    """Changes with what is measured: rows are only ever added to a scan, a passport is a file."""
    scan, path = known.scan, passports().live_path(live_devices()[0], machine())
    times = path.stat().st_mtime_ns if known.times is not None else 0
    return f"{times} {scan.key.id} {len(scan.rows)}" if scan is not None else f"{times}"


def reach(name: str, spec: PruneSpec, folder: str | None = None) -> Reach | None:
    """Which latency budgets can be met; None where nothing is measured at that batch size."""
    known = measured(name, spec, folder)
    if known.times is None or not known.times.dense:
        return None
    return planner(name, spec.criterion, spec.tile, folder).reach(spec, known)


def timed_batches(name: str, tile: int) -> tuple[int, ...]:
    """Batch sizes at which this machine's own passport has any layer of a model. Raises PassportError."""
    device = live_devices()[0]
    passport = live_passport(device)
    if passport is None:
        return ()
    return CrossoverMap(passport, Slice(tile, DEVICES[device].dtype)).batches(
        shape.place for shape in layer_shapes(name)
    )


def run_device() -> tuple[str, str]:
    """Device and precision that this machine's layer times are of, as a comparison names them."""
    device = live_devices()[0]
    dtype = DEVICES[device].dtype
    return device, dtype if dtype in PRECISIONS else CompareRequest().precision


@st.cache_resource(show_spinner=False)
def scans() -> ScanStore:
    return ScanStore(store().root)


def scan(name: str, method: str, criterion: str, tile: int, data: str | None) -> Scan | None:
    """What is measured so far of how sensitive each layer is to a method, by the images that are named."""
    try:
        source = with_images(name, data).images_digest
    except (DataError, SpecError):  # a run says what is wrong with them
        return None
    return scans().find(
        digest=model(name).digest,
        source=source,
        pattern=method,
        criterion=criterion,
        tile=tile,
        seed=PruneSpec().seed,
    )


def scanning() -> RunView[SensitivityRequest] | None:
    """The newest sensitivity scan of who is there, whichever session started it."""
    return next((run for run in store().of_kind(SensitivityRequest) if is_mine(RUNS, run.id)), None)


def stored_plan(run: RunView[CompareRequest], key: str) -> PruningPlan:
    """The plan that the row of that key of a stored run had, whatever was measured since. Raises NotYours."""
    _check_may_use(run.request)
    return plan(run.request.model, stored_spec(run, key), run.request.data)


def stored_spec(run: RunView[CompareRequest], key: str) -> PruneSpec:
    """The spec of that plan."""
    return settled_spec(run.request.spec, row_of(run.report or {}, key))


def changes(run: RunView[CompareRequest], key: str) -> Changes:
    """What the row of that key of a stored run answers otherwise than dense. Raises DataError."""
    predictions = read_predictions(store().folder(run.id) / PREDICTIONS)
    return changes_of(predictions, row_of(run.report or {}, key))


def tested_images(run: RunView[CompareRequest]) -> Images:
    """The images that a stored run was tested on; nothing is fetched.

    Raises DataError, ModelError, NotYours.
    """
    asked = run.request
    _check_may_use(asked)
    adjusted = json.dumps(asked.adjustment.to_json())
    images = _test_images(asked.model, asked.data, adjusted, _stamp(asked.data))
    return same_images(read_predictions(store().folder(run.id) / PREDICTIONS), images)


@st.cache_resource(max_entries=2, show_spinner=False)
def _test_images(name: str, data: str | None, adjusted: str, stamp: str) -> Images:
    dataset = _with_images(name, data, adjusted, stamp).dataset
    if dataset is None:
        raise DataError(f"There are no images for {name}.")
    return images_at_hand(dataset, "test", place_of(data))


@st.cache_data(max_entries=16, show_spinner=False)
def left_dense(name: str) -> dict[str, str]:
    """Layers that stay dense unless they are given a ratio, with the reason."""
    return dict(default_exclude(model(name)))


def magnitude(name: str, tile: int, layer: LayerPlan) -> Magnitude:
    """L2 norms of the layer's column vectors, whatever they are ranked by; in tiles of its mask's filters."""
    return Magnitude(tile, planner(name, "l2", tile).layer_scores(layer.name, layer.mask.order))


@st.cache_data(max_entries=16, show_spinner=False)
def network_macs(name: str) -> int:
    """Multiply-adds of a network for one image, attention included."""
    return costs.network_macs(model(name))


def macs_left(name: str, planned: PruningPlan) -> float:
    """Share of the network's multiply-adds per image that a plan leaves."""
    return 1 - costs.removed_macs(model(name), planned) / network_macs(name)


def expected_engine(name: str, layer: LayerPlan) -> tuple[str, str]:
    """The engine that is expected to run a planned layer, and why. Measuring may still find dense faster."""
    if not layer.ratio:
        return DENSE, "its mask keeps every weight"
    packed = layer.mask.pack(model(name).weight(layer.name), model(name).layer(layer.name).geometry)
    sparse = DEVICES[live_devices()[0]].engine
    declined = decline_reason(sparse, packed)
    return (sparse, "takes this layer") if declined is None else (DENSE, f"{sparse} declined: {declined}")


@st.cache_resource(show_spinner=False)
def store() -> RunStore:
    return RunStore()


@st.cache_resource(show_spinner=False)
def queue() -> JobQueue:
    return JobQueue(store())


def owners(kind: str) -> Owners:
    """Whose the things of a kind are, on a server that several people share."""
    return Owners(store().root, kind)


def is_mine(kind: str, thing: str) -> bool:
    """Whether who is there may stop, change and delete a thing, and see it listed."""
    who = people.person()
    return who is None or owners(kind).has(thing, who)


def submit(request: Request) -> str:
    """Queue a comparison, a measurement, a scan or an export; gives its run id. Raises NotYours."""
    _check_may_use(request)
    run_id = queue().submit(request)
    keep_owner(RUNS, run_id)
    return run_id


def may_use(request: Request) -> bool:
    """Whether a model, images and masks by the names of a request are of who is there, or everybody's.

    Whoever wrote a request that is in the store, such as that of an imported run, may have named anything.
    """
    if not people.is_shared():
        return True
    reference, data = reference_of(request.model), getattr(request, "data", None)
    masks = request.spec.masks if isinstance(request, CompareRequest | ExportRequest) else ""
    return (
        (reference is None or is_mine(UPLOADS, reference.upload))
        and (not masks or is_mine(MASKS, masks))
        and (not data or _are_stored(stored_id(data) or ""))
    )


def _check_may_use(request: Request) -> None:
    if not may_use(request):
        raise NotYours(wording.NOT_YOUR_FILES)


def keep_owner(kind: str, thing: str) -> None:
    """Have a thing belong to who is there, where things belong to somebody."""
    if (who := people.person()) is not None:
        owners(kind).add(thing, who)


def _check_mine(kind: str, thing: str) -> None:
    if not is_mine(kind, thing):
        raise NotYours(wording.NOT_YOURS)


def _drop(kind: str, thing: str) -> bool:
    """Take a thing from who is there; whether it can be deleted now. Raises NotYours."""
    _check_mine(kind, thing)
    who = people.person()
    return who is None or owners(kind).drop(thing, who)


def stop(run_id: str) -> None:
    """Stop a run; what it has finished is kept. Raises RunNotFound, NotYours."""
    _check_mine(RUNS, run_id)
    queue().stop(run_id)


def runs() -> tuple[RunView[Any], ...]:
    """The runs of who is there, newest first, and comparisons of the link, where they may be read."""
    linked = state.linked_runs()
    return tuple(
        run
        for run in store().list()
        if is_mine(RUNS, run.id)
        or (isinstance(run.request, CompareRequest) and run.id in linked and may_use(run.request))
    )


def rename_run(run_id: str, name: str) -> None:
    """Have people's name for a run. Raises RunNotFound, StoreError, NotYours."""
    _check_mine(RUNS, run_id)
    store().rename(run_id, name)


def delete_run(run_id: str) -> None:
    """Remove a run that has ended, for good. Raises RunNotFound, StoreError, NotYours."""
    _check_mine(RUNS, run_id)
    store().delete(run_id)
    _drop(RUNS, run_id)


def export_run(run_id: str) -> bytes:
    """A run as one file. Raises RunNotFound, StoreError."""
    return archive.pack(store(), run(run_id).id)


def import_run(content: bytes) -> str:
    """Keep what `export_run` wrote, if it can be shown; gives its id.

    Raises StoreError, SpecError, ModelError.
    """
    packed = archive.unpack(content)
    page(packed.report)
    run_id = archive.take_in(store(), packed)
    keep_owner(RUNS, run_id)
    return run_id


def export_runs() -> tuple[RunView[ExportRequest], ...]:
    """All exports on this machine of what who is there may use, newest first."""
    return tuple(run for run in store().of_kind(ExportRequest) if may_use(run.request))


def export_archive(request: ExportRequest) -> Path:
    """Where the files of a finished export lie, all in one. Raises NotYours."""
    _check_may_use(request)
    return store().root / EXPORTED / f"{request.id}.zip"


def run(run_id: str) -> RunView[CompareRequest]:
    """One comparison as it stands now. Raises RunNotFound."""
    found = store().read(run_id)
    if not isinstance(found.request, CompareRequest):
        raise RunNotFound(f"Expected the id of a comparison; {run_id} is something else.")
    if not (is_mine(RUNS, run_id) or may_use(found.request)):
        raise RunNotFound(
            f"Run {run_id} is about a network, masks or images that somebody else uploaded, or that lie on "
            "the server."
        )
    return found


def measurement() -> RunView[DeviceRequest] | None:
    """The newest measurement of this machine by who is there, whichever session started it."""
    return next((run for run in store().of_kind(DeviceRequest) if is_mine(RUNS, run.id)), None)


@st.cache_resource(show_spinner=False)
def passports() -> PassportStore:
    return PassportStore(store().root)


def other_passports() -> tuple[Stored, ...]:
    """Every passport but the live ones; of those imported, the ones of who is there."""
    every = passports().others(machine())
    return tuple(one for one in every if one.origin != IMPORTED or is_mine(IMPORTS, one.path.stem))


def import_passport(content: bytes) -> Stored:
    """Keep an imported passport. Raises PassportError."""
    stored = passports().take_in(content)
    keep_owner(IMPORTS, stored.path.stem)
    return stored


def forget_passport(stored: Stored) -> None:
    """Delete an imported passport, unless somebody else imported the same. Raises NotYours."""
    if _drop(IMPORTS, stored.path.stem):
        passports().forget(stored)


def live_devices() -> tuple[str, ...]:
    """What can be measured on this machine, the first one first; the CPU where nothing can."""
    return present_devices() or (first_device(),)


def live_passport(device: str) -> Passport | None:
    """What was measured on this machine under its present conditions. Raises PassportError."""
    return passports().live(device, machine())


@st.cache_data(max_entries=16, show_spinner=False)
def layer_shapes(name: str) -> dict[LayerShape, int]:
    """The distinct layers of a model, with how many there are of each."""
    return distinct_layers(model(name))


def losses(found: Scan | None) -> tuple[dict[str, str], tuple[float, ...]]:
    """What every layer of a scan loses, in words, and the ratios at which."""
    if found is None:
        return {}, ()
    ratios = tuple(sorted({row.ratio for row in found}))
    words = {}
    for layer in dict.fromkeys(row.layer for row in found):
        rows = found.of(layer)
        reason = next((row.reason for row in rows.values() if row.reason), "")
        drops = [rows[ratio].drop if ratio in rows else None for ratio in ratios]
        words[layer] = f"{wording.NOT_MEASURED}: {reason}" if reason else wording.losses_at(drops)
    return words, ratios


def break_evens(name: str, tile: int) -> dict[str, str]:
    """What this machine's own passport says of every layer of a model, in words."""
    device = live_devices()[0]
    try:
        passport = live_passport(device)
    except PassportError:  # the Device page says what is wrong with it
        passport = None
    if passport is None:
        return {}
    found = CrossoverMap(passport, Slice(tile, DEVICES[device].dtype))
    words = {}
    for info in model(name).layers:
        place = (info.geometry, info.plane)
        evens = [(found.break_even(place, batch), batch) for batch in found.batches([place])]
        words[info.name] = wording.break_evens([(_in_words(even), batch) for even, batch in evens])
    return words


def _in_words(even: BreakEven) -> str:
    return wording.break_even(even.ratio, even.highest, declined=bool(even.reason), unclear=even.unclear)


def engines() -> tuple[tuple[str, str, str | None], ...]:
    """Every engine: name, title, and why it cannot run here (None: it can)."""
    return tuple((name, engine(name).title, engine(name).available()) for name in ENGINE_NAMES)


@st.cache_data(ttl=5, max_entries=1, show_spinner=False)
def machine() -> dict[str, Any]:
    """This machine as it is now."""
    return environment()
