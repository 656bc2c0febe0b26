"""Every method's ladder, rung by rung into its row of the report; each network is tested once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from bcbp.data import Images
from bcbp.evaluation import Exam, Quality, mcnemar
from bcbp.intake.model import LoadedModel
from bcbp.plan import PruningPlan
from bcbp.progress import Tracker
from bcbp.recovery import FINETUNE, RECOVERIES, RecoveryTask
from bcbp.recovery.ladder import climb, rungs_up_to
from bcbp.recovery.tuning import Epoch, Lessons
from bcbp.report import Json, add_accuracy, add_epoch, add_rung
from bcbp.rows import key_of

# Share of a rung's time until its test: most for fine-tuning, while others are about as quick as the test.
_TUNED, _RECOVERED = 0.95, 0.5


@dataclass(frozen=True, eq=False)
class Climber:
    """What all methods climb with, the same for each; `publish` is called when a row has grown.

    `keep` gets the key of a row and its new quality before that.

    The tracker is at the method's step; with fine-tuning a second step follows for it.
    """

    model: LoadedModel
    top: str
    calibration: Images
    validation: Images
    exam: Exam
    lessons: Lessons | None
    tracker: Tracker
    keep: Callable[[str, Quality], None]
    publish: Callable[[], None]
    should_stop: Callable[[], bool]

    def climb(self, row: Json, plan: PruningPlan, dense: Quality) -> None:
        """Test every rung; the row's accuracy is that of the rung kept so far. Raises Stopped."""
        below, rungs = dense, rungs_up_to(self.top)
        for rung in climb(self._task(row, plan), top=self.top, validation=self.validation):
            done = len(row["ladder"])
            quality = self.exam.sit(
                f"{key_of(row)}: {rung.name}",
                rung.module,
                progress=lambda share, done=done: self._tested(done, share),  # type: ignore[misc]
                should_stop=self.should_stop,
            )
            add_rung(row, rung, quality, mcnemar(quality.hits, below.hits) if done else None)
            if rung.kept:
                add_accuracy(row, quality, mcnemar(quality.hits, dense.hits))
                self.keep(key_of(row), quality)
            below = quality
            self.publish()
            if rungs[done + 1 : done + 2] == (FINETUNE.name,):
                self.tracker.begin()

    def _task(self, row: Json, plan: PruningPlan) -> RecoveryTask:
        def on_epoch(epoch: Epoch) -> None:
            add_epoch(row, epoch)
            self.publish()

        return RecoveryTask(
            self.model,
            plan,
            self.model.module,
            self.calibration,
            self.lessons and replace(self.lessons, on_epoch=on_epoch),
            tell=lambda share: self._recovered(len(row["ladder"]), share),
            should_stop=self.should_stop,
        )

    def _recovered(self, index: int, share: float) -> None:
        self._update(index, share * self._until_test(index), "recovering")

    def _tested(self, index: int, share: float) -> None:
        before = self._until_test(index)
        self._update(index, before + share * (1 - before), "testing")

    def _until_test(self, index: int) -> float:
        return _TUNED if rungs_up_to(self.top)[index] == FINETUNE.name else _RECOVERED

    def _update(self, index: int, share: float, doing: str) -> None:
        """Progress within the method's step: the quick rungs share one, fine-tuning has its own."""
        names = rungs_up_to(self.top)
        quick = [name for name in names if name != FINETUNE.name]
        whole = share if names[index] == FINETUNE.name else (index + share) / len(quick)
        self.tracker.update(whole, f"{doing}, {RECOVERIES[names[index]].title}")
