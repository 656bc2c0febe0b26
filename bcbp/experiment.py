"""One comparison from model to report, in the order of time: plan, recover and test, then time everything."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bcbp.climbing import Climber
from bcbp.comparison_steps import planned_steps
from bcbp.data import Images, drawn, load_images, training_images
from bcbp.errors import DataError
from bcbp.evaluation import Exam, Quality
from bcbp.gathering import gather
from bcbp.image_folder import with_image_folder
from bcbp.intake.architectures import load_model
from bcbp.intake.model import LoadedModel
from bcbp.label_order import wrong_order
from bcbp.measured import NOTHING, Measured
from bcbp.passport_store import PassportStore
from bcbp.picture_store import place_of
from bcbp.plan import PruningPlan
from bcbp.planning import Planner, stats_for
from bcbp.predictions import Predictions
from bcbp.progress import Progress, Tracker
from bcbp.recovery import FINETUNE
from bcbp.recovery.workshop import Workshop
from bcbp.report import add_accuracy, add_session, dense_row, new_report, plan_row, row_of
from bcbp.request import CompareRequest
from bcbp.rows import key_of_spec
from bcbp.runtime import GPU, runtime
from bcbp.sensitivity import ScanStore
from bcbp.spec import DENSE, PruneSpec
from bcbp.threads import threads_set
from bcbp.timing import TimingJob
from bcbp.timing_process import run_timing
from kernels.device import cpu_clock, environment, gpu_state, load_average
from kernels.measure import Stopped
from kernels.memory import keep_freed_memory

__all__ = ["CompareRequest", "compare"]

OnEvent = Callable[[Progress, dict[str, Any] | None], None]
OnPredictions = Callable[[Predictions], None]
ShouldStop = Callable[[], bool]


def compare(
    request: CompareRequest,
    *,
    on_event: OnEvent,
    on_predictions: OnPredictions = lambda _: None,
    should_stop: ShouldStop = lambda: False,
    workshop: Workshop | None = None,
    root: Path | None = None,
) -> dict[str, Any]:
    """Carry out `request`; gives the report (see `bcbp.report`), finished or as far as it came when stopped.

    `on_event` gets the progress, and a copy of the report whenever that has grown; `on_predictions` the
    classes that every row so far answered, before the report that has their accuracy. Dense is always among
    the rows: it is what the others are compared with. Timing runs in a process of its own; fine-tuning in
    `workshop`, by default in this one, where it keeps nothing. Under `root` lies what was measured before,
    for allocations that go by it.
    Raises BcbpErrors: ModelError, DataError, SpecError, CheckpointError, TimingError.
    """
    with threads_set(request.threads):
        comparison = Comparison(
            request, on_event, on_predictions, should_stop, workshop=workshop or Workshop(), root=root
        )
        try:
            comparison.plan()
            comparison.test()
            comparison.time()
        except Stopped:
            comparison.close(stopped="Stopped")
        except BaseException as error:
            comparison.close(stopped=str(error) or type(error).__name__)
            raise
        else:
            comparison.close()
        return comparison.report


class Comparison:
    """A comparison under way. What can be missing, model and images, is looked for first."""

    def __init__(
        self,
        request: CompareRequest,
        on_event: OnEvent,
        on_predictions: OnPredictions,
        should_stop: ShouldStop,
        *,
        workshop: Workshop,
        root: Path | None,
    ) -> None:
        self._root = root
        self._no_engine = runtime(request.device, request.precision).no_engine  # or refused at once
        self.request, self._workshop = request, workshop
        self._folder = place_of(request.data)
        self.model = with_image_folder(load_model(request.model), self._folder, request.adjustment)
        self.report = new_report(request, self.model, environment())
        self._on_event, self._on_predictions, self._should_stop = on_event, on_predictions, should_stop
        self._no_accuracy = _no_accuracy(request, self.model)
        self._calibration = self._images("calibration")
        self._validation = self._images("validation")
        self._tunes = request.spec.recovery == FINETUNE.name
        self._train = self._images("train") if self._tunes else None
        test_images = self._images("test")  # None too where one of the others is missing
        self._exam = Exam(test_images, request.images) if test_images is not None else None
        self._predictions = self._none_predicted()
        self._plans: dict[str, PruningPlan] = {}
        self._progress, self._began = Progress(), time.monotonic()
        tested, trained = len(self._exam or ()), len(self._train or ())
        self._tracker = Tracker(planned_steps(request, self.model, tested, trained), self._tell)

    def plan(self) -> None:
        """A row for every method and ratio, with what its plan alone tells: sizes, balance, layers."""
        self._tracker.begin("choosing what to remove")
        spec = self.request.spec
        stats = stats_for(
            self.model,
            spec.criterion,
            folder=self._folder,
            seed=spec.seed,
            tell=lambda share: self._tracker.update(share, "measuring layers on calibration images"),
            should_stop=self._should_stop,
        )
        planner = Planner(self.model, criterion=spec.criterion, tile=spec.tile, seed=spec.seed, stats=stats)
        self.report["rows"].append(dense_row(self.model))
        for row_spec in self.request.row_specs:
            self._raise_if_stopped()
            plan = planner.plan(row_spec, self._measured(row_spec))
            self._plans[key_of_spec(row_spec)] = plan
            self.report["rows"].append(plan_row(self.model, plan))
        self._publish()

    def test(self) -> None:
        """Accuracy of every row on the test images, after recovery on the calibration images."""
        if self._exam is None:
            for row in self.report["rows"]:
                row["accuracy_reason"] = self._no_accuracy
            return
        keep_freed_memory()  # a quarter of the time would go into fresh pages for activations
        self._tracker.begin()
        dense = self._exam.sit(
            DENSE, self.model.module, progress=self._tracker.update, should_stop=self._should_stop
        )
        add_accuracy(row_of(self.report, DENSE), dense, None)
        self._check_order(dense)
        self._keep(DENSE, dense)
        self._publish()
        climber = self._climber(self._exam)
        for key, plan in self._plans.items():
            self._tracker.begin()
            climber.climb(row_of(self.report, key), plan, dense)

    def _check_order(self, dense: Quality) -> None:
        """Say so where the images' labels are numbered otherwise than the network's classes."""
        assert self._exam is not None and self.model.dataset is not None
        labels = self._exam.labels
        if found := wrong_order(labels, dense.predicted, self.model.dataset.classes):
            row_of(self.report, DENSE)["notes"].append(found)

    def _climber(self, exam: Exam) -> Climber:
        """What every method recovers with; for fine-tuning, the choice of its precision is made here."""
        assert self._calibration is not None and self._validation is not None
        lessons = None
        if self._train is not None:
            lessons, self.report["tuning"] = self._workshop.lessons(
                self.model.module, self._train, self._validation, self.request.tuning
            )
        return Climber(
            self.model,
            self.request.spec.recovery,
            self._calibration,
            self._validation,
            exam,
            lessons,
            self._tracker,
            self._keep,
            self._publish,
            self._should_stop,
        )

    def time(self) -> None:
        """Latency of every row that has an engine, all interleaved, per batch size."""
        plans = {key: plan for key, plan in self._plans.items() if plan.spec.pattern not in self._no_engine}
        for key in self._plans.keys() - plans.keys():
            reason = self._no_engine[self._plans[key].spec.pattern]
            row_of(self.report, key)["latency_reason"] = {str(one): reason for one in self.request.batches}
        if self.request.batches:
            self._tracker.begin("starting a process to time in")
            job = TimingJob(self.request, plans)
            run_timing(job, on_event=self._on_timing, should_stop=self._should_stop)

    def close(self, stopped: str | None = None) -> None:
        """Complete the report; `stopped` says why it is not finished."""
        self.report["finished"] = stopped is None
        self.report["environment"]["load_after"] = load_average()
        self.report["seconds"] = time.monotonic() - self._began
        if stopped is None:
            self._tracker.finish()
        else:
            self._tracker.fail(stopped)
        self._publish()

    def _measured(self, spec: PruneSpec) -> Measured:
        """What the allocation of `spec` goes by."""
        if self._root is None:
            return NOTHING
        return gather(
            self.model,
            spec,
            scans=ScanStore(self._root),
            passports=PassportStore(self._root),
            device=self.request.device,
            conditions=self.report["environment"],
        )

    def _images(self, part: str) -> Images | None:
        """One part of the model's data set; None where no accuracy can be had, and `_no_accuracy` says why.

        Calibration images come in the order of the spec's seed.

        Images that can be neither found nor downloaded cost the accuracy, not the latency; a folder that
        a person named has to hold them. Raises DataError.
        """
        if self.model.dataset is None or self._no_accuracy:
            return None
        try:
            if part == "train":
                return training_images(self.model.dataset, self._folder)
            images = load_images(self.model.dataset, part, self._folder)
            return drawn(images, self.request.spec.seed) if part == "calibration" else images
        except DataError as error:
            if self._folder is not None:
                raise
            self._no_accuracy = str(error)
            return None

    def _on_timing(self, event: dict[str, Any]) -> None:
        """Take what the timing process tells."""
        if event["event"] == "started":
            self.report["environment"]["threads"] = event["threads"]
            self.report |= {name: event[name] for name in ("ceiling", "ceiling_reason")}
        elif event["event"] == "progress":
            self._tracker.update(event["share"], event["message"])
        else:
            add_session(self.report, event["batch"], event["result"])
            self._note_clocks()
            self._publish()
            if event["batch"] != self.request.batches[-1]:
                self._tracker.begin("building the networks again for another batch size")

    def _note_clocks(self) -> None:
        """Now that the device has just worked: they fall back as soon as it idles."""
        self.report["environment"]["clock_after"] = cpu_clock()
        if self.request.device == GPU:
            self.report["environment"]["gpu_state"] = gpu_state()

    def _none_predicted(self) -> Predictions | None:
        if self._exam is None or self.model.dataset is None:
            return None
        return Predictions(self.model.dataset.classes, self._exam.labels, {})

    def _keep(self, key: str, quality: Quality) -> None:
        """Hand on what a row answered; the better rung takes the place of the one below."""
        assert self._predictions is not None
        self._predictions = self._predictions.adding(key, quality.predicted)
        self._on_predictions(self._predictions)

    def _tell(self, progress: Progress) -> None:
        self._progress = progress
        self._on_event(progress, None)

    def _publish(self) -> None:
        self._on_event(self._progress, copy.deepcopy(self.report))

    def _raise_if_stopped(self) -> None:
        if self._should_stop():
            raise Stopped


def _no_accuracy(request: CompareRequest, model: LoadedModel) -> str:
    """Why no accuracy will be measured; empty where it will."""
    if request.images == 0:
        return "No accuracy was asked for."
    if model.dataset is None:
        return model.no_accuracy
    return ""
