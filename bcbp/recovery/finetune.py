"""Fine-tune what is left, with the removed weights frozen at zero: the highest rung, and the dearest."""

from __future__ import annotations

import copy
import hashlib
import json
import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from torch import Tensor, nn

from bcbp.checkpoint import State, load_checkpoint, save_checkpoint, save_weights
from bcbp.data import Images
from bcbp.errors import SpecError
from bcbp.evaluation import accuracy
from bcbp.intake.model import LoadedModel
from bcbp.masking import removed_parameters
from bcbp.plan import PruningPlan
from bcbp.recovery.base import Recovered, RecoveryTask
from bcbp.recovery.distillation import TuningLoss
from bcbp.recovery.tuning import Epoch, Lessons, Tuning
from bcbp.team import Team
from bcbp.training import Conditions, Training
from kernels.measure import Stopped

# What epochs, and rungs, are compared on. Those that 2000 images cannot tell apart are equally good choices.
VALIDATION_IMAGES = 2000


@dataclass(frozen=True)
class FinetuneRecovery:
    """A few epochs of training from the best network below, batch norms included.

    The best epoch on validation images is what comes back. Images, order, shifts, steps and rates follow
    from the settings alone, so that every pattern gets the same.
    """

    name: str = "finetune"
    title: str = "Fine-tune"
    description: str = (
        "Trains the weights that are left for a few epochs, from the best rung below; removed weights stay "
        "exactly zero. The best epoch on validation images is kept. [our definition]"
    )

    def apply(self, task: RecoveryTask) -> Recovered:
        if task.lessons is None:
            raise SpecError(
                "Expected training and validation images to fine-tune with; got none. "
                "Give the task its lessons, or choose another recovery."
            )
        course = _Course(task, task.lessons)
        course.run()
        recovered = copy.deepcopy(task.start)
        if course.best is not None:
            recovered.load_state_dict(course.best)
        return Recovered(recovered.eval(), course.notes, course.seconds_before)


FINETUNE = FinetuneRecovery()


@dataclass(frozen=True, eq=False)
class Assignment:
    """What the first process tells the others of its team, so that all train the same network."""

    plan: PruningPlan
    tuning: Tuning
    bf16: bool
    start: dict[str, Tensor]
    done: int
    state: State | None

    def training(self, model: LoadedModel, module: nn.Module, train: Images, team: Team) -> Training:
        """`module`, in the place where the checkpoint has it, or at the start."""
        module.load_state_dict(self.start)
        teacher = copy.deepcopy(model.module).to(team.device)
        tuning = self.tuning
        loss = TuningLoss(teacher, tuning.distill, tuning.temperature, tuning.label_smoothing)
        removed = removed_parameters(module, self.plan)
        training = Training(module, train, tuning.recipe, Conditions(loss, removed, self.bf16, team))
        if self.state is not None:
            training.restore(self.state)
        return training


def follow(team: Team, model: LoadedModel, train: Images | None) -> None:
    """Train along with the first process, network by network, until `release`: at once without images."""
    none: Assignment | None = None
    while (work := team.broadcast(none)) is not None:
        assert train is not None, "the first process trains on images that this one does not find"
        training = work.training(model, copy.deepcopy(model.module), train, team)
        try:
            for number in range(work.done, work.tuning.epochs):
                if not math.isfinite(training.epoch(number).loss):
                    break
        except Stopped:
            continue


def release(team: Team) -> None:
    """Tell the others that there is nothing more to train."""
    team.broadcast(None)


@dataclass(eq=False)
class _Course:
    """One fine-tuning under way in the first process: its curve, and the best weights so far."""

    task: RecoveryTask
    lessons: Lessons
    curve: list[Epoch] = field(default_factory=list)
    best: dict[str, Tensor] | None = None
    diverged: bool = False
    bf16: bool = False
    seconds_before: float = 0.0

    def run(self) -> None:
        """All epochs that a checkpoint does not have yet. Raises Stopped, CheckpointError."""
        work, lessons = self._assignment(), self.lessons
        lessons.team.broadcast(work)
        training = work.training(self.task.model, copy.deepcopy(self.task.start), lessons.train, lessons.team)
        for epoch in self.curve:
            lessons.on_epoch(epoch)
        epochs = lessons.tuning.epochs
        for number in range(work.done, epochs):
            began = time.monotonic()
            done = training.epoch(
                number,
                tell=lambda share, number=number: self.task.tell((number + share) / epochs),  # type: ignore[misc]
                should_stop=self.task.should_stop,
            )
            self.diverged = not math.isfinite(done.loss)
            if self.diverged:
                return
            quality = accuracy(training.module.eval(), lessons.validation, limit=VALIDATION_IMAGES)
            better = self.best is None or quality.correct > max(epoch.correct for epoch in self.curve)
            self.curve.append(
                Epoch(
                    number + 1,
                    done.loss,
                    done.accuracy,
                    quality.correct,
                    quality.total,
                    time.monotonic() - began,
                )
            )
            if better:
                self.best = _copied(training.module)
            self._keep(training, better=better)
            lessons.on_epoch(self.curve[-1])

    @property
    def notes(self) -> tuple[str, ...]:
        return tuple(self._notes())

    def _notes(self) -> Iterator[str]:
        train = self.lessons.train
        if train.part != "train":
            yield (
                f"Fine-tuned on the {len(train):,} training images that ship with the product, not on all; "
                "name the folder that holds them to use all."
            )
        if self.bf16 != self.lessons.bf16:
            yield (
                f"Taken up in {'bf16' if self.bf16 else 'float32'}, as its first epochs were trained, though "
                "the other was chosen this time."
            )
        if self.diverged:
            kept = "the best epoch before it" if self.curve else "the network as it was before"
            epoch = len(self.curve) + 1
            yield f"Fine-tuning diverged in epoch {epoch}; {kept} is kept. Choose a smaller rate."

    def _assignment(self) -> Assignment:
        """From the start, or from where a checkpoint of the same fine-tuning is."""
        task, lessons = self.task, self.lessons
        saved = load_checkpoint(self._path(".pt")) if lessons.folder else None
        state, self.bf16 = None, lessons.bf16
        if saved is not None:
            self.curve = [Epoch(**epoch) for epoch in saved["curve"]]
            self.seconds_before = sum(epoch.seconds for epoch in self.curve)
            self.best, state, self.bf16 = saved["best"], saved["training"], saved["bf16"]
        start = dict(task.start.state_dict())
        return Assignment(task.plan, lessons.tuning, self.bf16, start, len(self.curve), state)

    def _keep(self, training: Training, *, better: bool) -> None:
        if self.lessons.folder is None:
            return
        curve = [asdict(epoch) for epoch in self.curve]
        state = {"training": training.state(), "bf16": self.bf16, "curve": curve, "best": self.best}
        save_checkpoint(self._path(".pt"), state)
        if better and self.best is not None:
            save_weights(self._path(".safetensors"), self.best)

    def _path(self, suffix: str) -> Path:
        """Its own file for each fine-tuning, so that none takes up, or overwrites, another's."""
        task, lessons = self.task, self.lessons
        assert lessons.folder is not None
        what = [
            task.model.digest,
            *filter(None, [task.model.images_digest]),  # so are earlier checkpoints named, without one
            task.plan.to_json(),
            lessons.tuning.to_json(),
            len(lessons.train),
            len(lessons.validation),
        ]
        digest = hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:12]
        return lessons.folder / f"{task.plan.spec.pattern.replace(':', '-')}-{digest}{suffix}"


def _copied(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().to("cpu", copy=True) for name, value in module.state_dict().items()}
