"""Carries out an export: plan, recover, write. Its report names the files, and says why one is missing."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bcbp.devices import first_device
from bcbp.errors import ModelError
from bcbp.export import EXPORTS, Pruned
from bcbp.export.sizes import sizes
from bcbp.export_request import ExportRequest
from bcbp.gathering import gather
from bcbp.image_folder import with_image_folder
from bcbp.intake.architectures import load_model
from bcbp.passport_store import PassportStore
from bcbp.picture_store import place_of
from bcbp.planning import make_plan
from bcbp.progress import Progress, Tracker
from bcbp.recovering import recover
from bcbp.recovery.workshop import Workshop
from bcbp.report import plan_row, settled_spec
from bcbp.sensitivity import ScanStore
from kernels.device import environment

OnEvent = Callable[[Progress, dict[str, Any] | None], None]
ShouldStop = Callable[[], bool]
_RECOVERING = 10.0  # times as long as writing one form, roughly


def export(
    request: ExportRequest,
    folder: Path,
    *,
    root: Path,
    on_event: OnEvent = lambda _progress, _report: None,
    should_stop: ShouldStop = lambda: False,
    workshop: Workshop | None = None,
) -> dict[str, Any]:
    """Write every form of `request` into `folder`; gives the report.

    {"files": {FORM: [names]}, "missing": {FORM: reason}, "sizes": [{"form", "bytes", "compressed"}],
    "recovery", "sparsity", "folder"}. Under `root` lies what was measured before, for allocations that go by
    it. Raises BcbpErrors, Stopped, OSError.
    """
    steps = [("Plan and recover", _RECOVERING), *((EXPORTS[form].title, 1.0) for form in request.forms)]
    tracker = Tracker(steps, lambda progress: on_event(progress, None))
    tracker.begin()
    pruned = prune(request, root=root, should_stop=should_stop, workshop=workshop)
    report: dict[str, Any] = {
        "files": {},
        "missing": {},
        "sizes": [asdict(size) for size in sizes(pruned)],
        "recovery": pruned.recovery,
        "sparsity": pruned.plan.sparsity,
        "folder": str(folder),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for form in request.forms:
        tracker.begin()
        try:
            report["files"][form] = [path.name for path in _write(form, pruned, folder)]
        except ModelError as error:
            report["missing"][form] = str(error)
    tracker.finish()
    on_event(Progress(1.0, "Done"), report)
    return report


def prune(
    request: ExportRequest,
    *,
    root: Path,
    should_stop: ShouldStop = lambda: False,
    workshop: Workshop | None = None,
) -> Pruned:
    """The pruned network that `request` describes. Its spec no longer depends on what is measured."""
    images = place_of(request.data)
    model = with_image_folder(load_model(request.model), images, request.adjustment)
    measured = gather(
        model,
        request.spec,
        scans=ScanStore(root),
        passports=PassportStore(root),
        device=first_device(),
        conditions=environment(),
    )
    plan = make_plan(model, request.spec, measured, folder=images)
    settled = settled_spec(request.spec, plan_row(model, plan))
    if settled != request.spec:
        plan = make_plan(model, settled, folder=images)
    module, recovery = recover(
        model, plan, folder=images, tuning=request.tuning, workshop=workshop, should_stop=should_stop
    )
    return Pruned(model, plan, module, recovery, request.tuning, request.data, request.adjustment)


def _write(form: str, pruned: Pruned, folder: Path) -> tuple[Path, ...]:
    """One form. Raises ModelError with the reason where it cannot be had, here or for this network."""
    absent = [library for library in EXPORTS[form].needs if find_spec(library) is None]
    if absent:
        raise ModelError(f"Expected {' and '.join(absent)} to be installed: pip install {' '.join(absent)}.")
    return EXPORTS[form].write(pruned, folder)


def zipped(folder: Path) -> Path:
    """All files of `folder` in one, beside it."""
    return Path(shutil.make_archive(str(folder), "zip", folder))
