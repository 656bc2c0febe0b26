"""Measures how sensitive each layer is: pruned alone, norms re-estimated, answers held against dense.

Each row is on disk before the next begins, and what is there already is left out. Choices are made with these
figures, so the images are of the validation part; test images are never looked at.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bcbp.data import Images, drawn, load_images
from bcbp.errors import DataError, SpecError
from bcbp.evaluation import BATCH, drop_interval
from bcbp.image_folder import with_image_folder
from bcbp.intake.architectures import load_model
from bcbp.masking import masked_copy
from bcbp.norms import re_estimating
from bcbp.picture_store import place_of
from bcbp.plan import PruningPlan
from bcbp.planning import Planner, stats_for
from bcbp.progress import Progress, Tracker
from bcbp.sensitivity import Scan, ScanStore, Sensitivity
from bcbp.sensitivity_request import CALIBRATION, SensitivityRequest
from bcbp.trials import Trials
from kernels.device import environment
from kernels.measure import Stopped
from kernels.memory import keep_freed_memory

OnEvent = Callable[[Progress, dict[str, Any] | None], None]
ShouldStop = Callable[[], bool]


def scan_layers(
    request: SensitivityRequest,
    *,
    root: Path,
    on_event: OnEvent,
    should_stop: ShouldStop = lambda: False,
) -> Scan:
    """Measure what the scan under `root` lacks of `request`; what is measured is kept however it ends.

    `on_event` gets the progress, and the scan as JSON whenever it has grown. Gives the scan as far as it
    came. Raises BcbpErrors: SpecError for a model without images or accuracy, DataError.
    """
    scanning = _Scanning(request, ScanStore(root), on_event, should_stop)
    try:
        scanning.run()
    except Stopped:
        scanning.tracker.fail("Stopped")
    except BaseException as error:
        scanning.tracker.fail(str(error) or type(error).__name__)
        raise
    else:
        scanning.tracker.finish()
    return scanning.scan


class _Scanning:
    """A scan under way. What can be missing, images, is looked for first."""

    def __init__(
        self,
        request: SensitivityRequest,
        store: ScanStore,
        on_event: OnEvent,
        should_stop: ShouldStop,
    ) -> None:
        self.request, self.store, self._folder = request, store, place_of(request.data)
        self.model = with_image_folder(load_model(request.model), self._folder, request.adjustment)
        self._on_event, self._should_stop = on_event, should_stop
        self._validation = self._images("validation")
        calibration = drawn(self._images("calibration"), request.seed)
        self._labels = self._validation.labels[: request.images]
        answered, seen = _batches(self._validation, request.images), _batches(calibration, CALIBRATION)
        self._trials = Trials(self.model.module, [*answered, *seen])
        self._answered = range(len(answered))
        self._calibrating = range(len(answered), len(answered) + len(seen))
        self._planner = Planner(
            self.model,
            criterion=request.criterion,
            tile=request.tile,
            seed=request.seed,
            stats=stats_for(self.model, request.criterion, folder=self._folder, seed=request.seed),
        )
        key = request.key(self.model, images=len(self._labels), calibration=sum(map(len, seen)))
        self._conditions: dict[str, Any] = {"model": self.model.title, "environment": environment()}
        self.scan = store.read(key) or Scan(key, 0, **self._conditions)
        self._progress = Progress()
        steps = ["Dense", *(layer.name for layer in self.model.layers)]
        self.tracker = Tracker([(step, 1.0) for step in steps], self._tell)

    def run(self) -> None:
        keep_freed_memory()
        self.tracker.begin()
        self._hits = self._answers(self._trials.module)
        self._keep(replace(self.scan, correct=int(self._hits.sum())))
        for info in self.model.layers:
            self.tracker.begin()
            self._layer(info.name)

    def _layer(self, name: str) -> None:
        has = self.scan.of(name)
        missing = [ratio for ratio in sorted(self.request.ratios) if ratio not in has]
        if not missing:
            return
        self._trials.advance(name)
        for done, ratio in enumerate(missing):
            self.tracker.update(done / len(missing), f"{ratio:g} removed")
            self._keep(replace(self.scan.with_row(self._row(name, ratio)), **self._conditions))

    def _row(self, name: str, ratio: float) -> Sensitivity:
        plan = self._planner.plan(self.request.spec(name, ratio))
        if reason := _not_pruned(plan, name):
            return Sensitivity(name, ratio, reason=reason)
        trial = masked_copy(self._trials.module, plan)
        with re_estimating(self._trials.norms_from(trial, name)):
            for index in self._calibrating:
                self._raise_if_stopped()
                self._trials.run(trial, index)
        hits = self._answers(trial)
        gained, lost = int((hits & ~self._hits).sum()), int((~hits & self._hits).sum())
        drop = (lost - gained) / len(hits)
        return Sensitivity(name, ratio, gained, lost, drop, drop_interval(gained, lost, len(hits)))

    def _answers(self, module: torch.nn.Module) -> Tensor:
        """Which validation images are answered right, bool [images]."""
        predicted = []
        for index in self._answered:
            self._raise_if_stopped()
            predicted.append(self._trials.run(module, index).argmax(1))
        return torch.cat(predicted) == self._labels

    def _images(self, part: str) -> Images:
        if self.model.dataset is None:
            raise SpecError(
                f"Expected a model with an accuracy to lose; {self.model.name} has none: "
                f"{self.model.no_accuracy}"
            )
        return load_images(self.model.dataset, part, self._folder)

    def _keep(self, scan: Scan) -> None:
        self.scan = scan
        self.store.write(scan)
        self._on_event(self._progress, scan.to_json())

    def _tell(self, progress: Progress) -> None:
        self._progress = progress
        self._on_event(progress, None)

    def _raise_if_stopped(self) -> None:
        if self._should_stop():
            raise Stopped


def _batches(images: Images, count: int) -> list[Tensor]:
    """The first `count` images in batches of one size, but for a smaller rest."""
    if len(images) == 0:
        raise DataError(f"Expected images in the part {images.part}; got none. Check the data.")
    return list(images.inputs(0, min(count, len(images))).split(BATCH))


def _not_pruned(plan: PruningPlan, name: str) -> str:
    """Why the plan removes nothing from the layer; empty if it removes something."""
    planned = {layer.name: layer for layer in plan}
    if name in planned and planned[name].ratio > 0:
        return ""
    return dict(plan.kept_dense).get(name) or " ".join(plan.notes) or "its mask keeps every weight"
