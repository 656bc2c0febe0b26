"""How a pruned network is fine-tuned: settings that hold for every method alike, and what it is given."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bcbp.data import Images
from bcbp.errors import DataError, SpecError
from bcbp.fields import FieldError, read_fields
from bcbp.team import ALONE, Team
from bcbp.training import OPTIMIZERS, SCHEDULES, USUAL_RATES, Recipe

PRECISIONS = ("auto", "fp32", "bf16")
MAX_EPOCHS = 1000
MIN_RATE, MAX_RATE = 1e-8, 10.0
_LEAST_BATCH, _LARGEST_BATCH = 8, 8192


@dataclass(frozen=True)
class Tuning:
    """Settings of a fine-tuning. `rate` is the peak learning rate, `schedule` and `optimizer` names out of
    `bcbp.training`.

    `distill` in [0, 1] is the share of the loss that compares with the dense network's answers, softened by
    `temperature` (see `bcbp.recovery.distillation`). `precision` "auto" times a step in float32 and in bf16
    and takes the faster.
    """

    epochs: int = 3
    batch: int = 128
    rate: float = USUAL_RATES["sgd"]
    optimizer: str = "sgd"
    schedule: str = "cosine"
    weight_decay: float = 5e-4
    label_smoothing: float = 0.0
    distill: float = 0.0
    temperature: float = 4.0
    precision: str = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        """Raises SpecError for settings that cannot be carried out."""
        tables: tuple[tuple[str, tuple[str, ...]], ...] = (
            ("optimizer", tuple(OPTIMIZERS)),
            ("schedule", tuple(SCHEDULES)),
            ("precision", PRECISIONS),
        )
        for name, choices in tables:
            if getattr(self, name) not in choices:
                raise SpecError(
                    f"Expected as {name} one of {', '.join(choices)}; got {getattr(self, name)!r}."
                )
        bounds = {
            "epochs": (1, MAX_EPOCHS),
            "batch": (_LEAST_BATCH, _LARGEST_BATCH),
            "seed": (0, 2**31),
            "weight_decay": (0, 1),
            "label_smoothing": (0, 0.9),
            "distill": (0, 1),
            "rate": (MIN_RATE, MAX_RATE),
            "temperature": (0.1, 100),
        }
        for name, (low, high) in bounds.items():
            value = getattr(self, name)
            if not math.isfinite(value) or not low <= value <= high:
                words = name.replace("_", " ")
                raise SpecError(f"Expected {words} from {low:g} to {high:g} for fine-tuning; got {value:g}.")

    @property
    def recipe(self) -> Recipe:
        return Recipe(
            epochs=self.epochs,
            batch=self.batch,
            peak_rate=self.rate,
            weight_decay=self.weight_decay,
            warmup_share=0.1,
            seed=self.seed,
            optimizer=self.optimizer,
            schedule=self.schedule,
        )

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Tuning:
        """Inverse of `to_json`; fields left out keep their default. Raises SpecError."""
        try:
            return read_fields(cls, dict(data))
        except FieldError as error:
            raise SpecError(f"Expected settings of a fine-tuning with {error}.") from None


@dataclass(frozen=True)
class Epoch:
    """A point of the learning curve, `number` from 1: mean `loss` and `accuracy` on training images as they
    were changed, right answers of validation images, seconds.
    """

    number: int
    loss: float
    accuracy: float
    correct: int
    total: int
    seconds: float


@dataclass(frozen=True, eq=False)
class Lessons:
    """What fine-tuning is given: images, settings and whether to run in `bf16`, the same for every method.

    In `folder` it keeps a checkpoint, and the best weights so far; None keeps nothing. `on_epoch` takes each
    point of the curve. Raises DataError for the test images, SpecError for a batch that cannot be shared.
    """

    train: Images
    validation: Images
    tuning: Tuning
    bf16: bool = False
    folder: Path | None = None
    team: Team = ALONE
    on_epoch: Callable[[Epoch], None] = lambda _epoch: None

    def __post_init__(self) -> None:
        if "test" in (self.train.part, self.validation.part):
            raise DataError(
                "Expected training and validation images to fine-tune with; got the test images. "
                "Pass other parts."
            )
        batch = min(self.tuning.batch, len(self.train))
        if batch % self.team.size:
            raise SpecError(
                f"Expected a batch that {self.team.size} processes can share equally; got {batch}. "
                f"Choose a multiple of {self.team.size}."
            )
