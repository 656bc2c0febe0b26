"""Measures a device into its passport: ceilings, then layer by layer, each on disk before the next begins."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from bcbp.crossover import distinct_layers
from bcbp.device_report import device_report
from bcbp.device_request import DeviceRequest
from bcbp.devices import DEVICES
from bcbp.errors import SpecError
from bcbp.intake.architectures import load_model
from bcbp.layer_timing import LayerGroup, LayerJob
from bcbp.passport import PATTERN, MeasuredLayer, Passport, Rate
from bcbp.passport_store import PassportStore
from bcbp.progress import Progress, Tracker
from bcbp.timing_process import run_timing
from kernels.device import cpu_clock, environment, load_average, now
from kernels.layers import LayerShape
from kernels.measure import Stopped

COMMAND = (sys.executable, "-m", "bcbp.layer_timing")
OnEvent = Callable[[Progress, dict[str, Any] | None], None]

# Rough costs on two AVX-512 cores, in seconds; they only weigh the steps of the progress bar.
_OPERATIONS_PER_SECOND = 2e11
_START_SECONDS = 3.0
_SAMPLE_SECONDS = 0.01
_RUNS_PER_ROUND = 8  # two dense forms, their control and the pruned layer, each once untimed as well


def measure_device(
    request: DeviceRequest, *, root: Path, on_event: OnEvent, should_stop: Callable[[], bool] = lambda: False
) -> None:
    """Measure what the passport under `root` lacks of `request`; what is measured is kept however it ends.

    `on_event` gets the progress, and what the passport says of the request (`bcbp.device_report`) whenever
    it has grown. Timing runs in a process of its own. Raises BcbpErrors: SpecError without an engine for the
    device, PassportError, TimingError.
    """
    missing = DEVICES[request.device].missing()
    if missing is not None:
        raise SpecError(f"Expected an engine to measure {request.device} with; {missing}.")
    measuring = _Measuring(request, PassportStore(root), on_event)
    try:
        measuring.run(should_stop)
    except Stopped:
        measuring.tracker.fail("Stopped")
    except BaseException as error:
        measuring.tracker.fail(str(error) or type(error).__name__)
        raise
    else:
        measuring.tracker.finish()


def missing_groups(
    request: DeviceRequest, layers: Iterable[LayerShape], passport: Passport | None
) -> tuple[LayerGroup, ...]:
    """What is still to be timed: layers in the order of execution, per batch size the ratios it lacks."""
    has = {} if passport is None or request.again else {row.key: row for row in passport}
    dtype = DEVICES[request.device].dtype
    groups = []
    for shape in layers:
        tile = min(request.tile, shape.geometry.rows)
        for batch in request.batches:
            at = (*shape.place, batch, dtype, tile)
            ratios = tuple(ratio for ratio in sorted(request.ratios) if (*at, ratio, PATTERN) not in has)
            if ratios:
                groups.append(LayerGroup(shape.geometry, shape.plane, batch, tile, ratios))
    return tuple(groups)


class _Measuring:
    """A measurement under way."""

    def __init__(self, request: DeviceRequest, store: PassportStore, on_event: OnEvent) -> None:
        self.request, self.store = request, store
        conditions = environment()
        self.layers = distinct_layers(load_model(request.model))
        self.groups = missing_groups(request, self.layers, store.live(request.device, conditions))
        self.passport = Passport(request.device, conditions)
        self.tracker = Tracker(_steps(self.groups, request.rounds), self._tell)
        self._on_progress, self._progress, self._group = on_event, Progress(), -1

    def run(self, should_stop: Callable[[], bool]) -> None:
        self.tracker.begin("starting a process to time in")
        request = self.request
        job = LayerJob(request.device, torch.get_num_threads(), request.rounds, self.groups)
        run_timing(job, on_event=self._on_event, should_stop=should_stop, command=COMMAND)
        conditions = {**self.passport.environment, "load_after": load_average(), "clock_after": cpu_clock()}
        self._keep(replace(self.passport, environment=conditions))

    def _on_event(self, event: dict[str, Any]) -> None:
        """Take what the timing process tells."""
        if event["event"] == "started":
            self._start(event["environment"], event["rates"])
            return
        while self._group < event["group"]:
            self._group += 1
            self.tracker.begin()
        if event["event"] == "progress":
            self.tracker.update(event["share"])
        else:
            self._add(self.groups[event["group"]], event["row"])

    def _start(self, conditions: Mapping[str, Any], rates: list[dict[str, Any]]) -> None:
        """Go on with the passport of the process that measures, under its present conditions."""
        known = self.store.live(self.request.device, conditions)
        rows = () if known is None else known.rows
        measured = tuple(Rate(**rate) for rate in rates)
        self._keep(Passport(self.request.device, dict(conditions), measured, rows))

    def _add(self, group: LayerGroup, row: dict[str, Any]) -> None:
        """Keep a row as it will be read: one that could not be read again must not be written."""
        where = {"geometry": asdict(group.geometry), "plane": group.plane}
        when = {"date": now(), "commit": self.passport.environment["commit"]}
        self._keep(self.passport.with_row(MeasuredLayer.from_json(where | when | row)))

    def _keep(self, passport: Passport) -> None:
        self.passport = passport
        self.store.write_live(passport)
        self._on_progress(self._progress, device_report(passport, self.layers, self.request))

    def _tell(self, progress: Progress) -> None:
        self._progress = progress
        self._on_progress(progress, None)


def _steps(groups: Iterable[LayerGroup], rounds: int) -> list[tuple[str, float]]:
    """Every step with its rough cost in seconds."""
    steps = [("Ceilings of the device", _START_SECONDS)]
    for group in groups:
        operations = 2.0 * group.batch * group.geometry.macs(*group.plane)
        once = max(_SAMPLE_SECONDS, operations / _OPERATIONS_PER_SECOND)
        seconds = _RUNS_PER_ROUND * rounds * once * len(group.ratios)
        steps.append((f"{group.name}, batch {group.batch}", seconds))
    return steps
