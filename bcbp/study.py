"""A study: how accurate each method is at each ratio, rung by rung, for several draws of calibration images.

Nothing is timed. Each cell, one method at one ratio and seed, is a list of rows, one a rung:

"method", "tile", "ratio" asked, "seed", "rung", "sparsity" (share of weights removed over the layers in
scope), "correct" of "total" test images with the 95 % "interval", "hits" (which of them, see `packed_hits`),
"engine" that answered (the packed network where the pattern has one: it is what would run, and faster),
"validation" {"correct", "total"}, "kept" (whether it is the rung chosen on validation images), "seconds" of
recovery, "notes"; of the rung that is kept "errors" of each layer's outputs (see `layer_errors`).
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bcbp.choice import SPARSE
from bcbp.data import Images, drawn, load_images, training_images
from bcbp.errors import SpecError
from bcbp.evaluation import BATCH, Exam, Quality
from bcbp.geometry import TILE_ROWS
from bcbp.image_folder import with_image_folder
from bcbp.intake.architectures import load_model
from bcbp.intake.model import state_digest
from bcbp.layer_errors import layer_errors
from bcbp.names import check_names
from bcbp.network import convert
from bcbp.patterns import PATTERNS
from bcbp.picture_store import place_of
from bcbp.plan import PruningPlan
from bcbp.planning import Planner, stats_for
from bcbp.preprocessing import Adjustment
from bcbp.recovery import FINETUNE, RecoveryTask
from bcbp.recovery.ladder import climb
from bcbp.recovery.tuning import Lessons, Tuning
from bcbp.recovery.workshop import Workshop
from bcbp.request import check_distinct
from bcbp.runtime import CpuRuntime
from bcbp.spec import DENSE, PruneSpec
from kernels.engines import engine
from kernels.memory import keep_freed_memory

Json = dict[str, Any]
ShouldStop = Callable[[], bool]
TORCH = "torch"
DEFAULT_TILE = 32
_ERROR_IMAGES, _ERROR_BATCH = 500, 8  # of the validation images
METHODS = ("filter", "block", "column", "bcbp@16", "bcbp", "bcbp@64", "unstructured", "2:4")


@dataclass(frozen=True)
class Cell:
    """One method at one ratio, recovered on one draw of calibration images."""

    method: str
    tile: int
    ratio: float
    seed: int

    @property
    def label(self) -> str:
        return f"{self.method}, tile {self.tile}, ratio {self.ratio:g}, seed {self.seed}"

    def holds(self, row: Json) -> bool:
        """Whether a row is of this cell."""
        return all(row[name] == value for name, value in asdict(self).items())


@dataclass(frozen=True)
class StudyRequest:
    """`methods` are names of patterns, NAME or NAME@TILE (tile 32 where none is named); `recovery` is the
    highest rung; `images` limits the test images (None = all); `data` and `adjustment` are
    those of a comparison.
    """

    model: str = "sample"
    methods: tuple[str, ...] = METHODS
    ratios: tuple[float, ...] = (0.3, 0.5, 0.7, 0.8, 0.9)
    seeds: tuple[int, ...] = (0, 1, 2)
    criterion: str = "l2"
    recovery: str = "refit"
    tuning: Tuning = field(default_factory=Tuning)
    images: int | None = None
    data: str | None = None
    adjustment: Adjustment = field(default_factory=Adjustment)

    def __post_init__(self) -> None:
        """Raises SpecError for anything that cannot be carried out."""
        for label in ("methods", "ratios", "seeds"):
            check_distinct(label, getattr(self, label))
            if not getattr(self, label):
                raise SpecError(f"Expected at least one of {label}; got none.")
        for cell in self.cells():
            check_names(self.spec(cell))

    def cells(self) -> Iterator[Cell]:
        """Every cell, all methods at all ratios before the next seed."""
        methods = [parse_method(text) for text in self.methods]
        for seed in self.seeds:
            for ratio in self.ratios:
                for name, tile in methods:
                    fixed = PATTERNS[name].fixed_ratio
                    if fixed is None or ratio == self.ratios[0]:
                        yield Cell(name, tile, ratio if fixed is None else fixed, seed)

    def spec(self, cell: Cell) -> PruneSpec:
        return PruneSpec(
            pattern=cell.method,
            ratio=cell.ratio,
            tile=cell.tile,
            criterion=self.criterion,
            recovery=self.recovery,
            seed=cell.seed,
        )

    @property
    def basis(self) -> Json:
        """What rows must share to stand in one file: all but which cells there are."""
        tuning = self.tuning.to_json() if self.recovery == FINETUNE.name else None
        return {
            "model": self.model,
            "criterion": self.criterion,
            "recovery": self.recovery,
            "tuning": tuning,
            "images": self.images,
        }


def parse_method(text: str) -> tuple[str, int]:
    """`bcbp@16` as ("bcbp", 16). Raises SpecError.

    >>> parse_method("2:4"), parse_method("block@64")
    (('2:4', 32), ('block', 64))
    """
    name, _, tile = text.partition("@")
    if name not in PATTERNS:
        raise SpecError(f"Expected NAME or NAME@TILE, NAME out of {', '.join(PATTERNS)}; got {text!r}.")
    if tile and tile not in map(str, TILE_ROWS):
        raise SpecError(f"Expected a tile of {', '.join(map(str, TILE_ROWS))} in NAME@TILE; got {text!r}.")
    return name, int(tile or DEFAULT_TILE)


class Study:
    """A study under way on one model. What can be missing, images, is looked for first.

    Fine-tuning, where it is asked for, happens in `workshop`. Raises SpecError for a model without images,
    DataError.
    """

    def __init__(
        self, request: StudyRequest, *, workshop: Workshop, should_stop: ShouldStop = lambda: False
    ) -> None:
        self.request, self._should_stop = request, should_stop
        self._folder = place_of(request.data)
        self.model = with_image_folder(load_model(request.model), self._folder, request.adjustment)
        self._exam = Exam(self._images("test"), request.images)
        self._calibration, self._validation = self._images("calibration"), self._images("validation")
        self._tested: dict[str, Json] = {}
        self._planners: dict[tuple[int, int], Planner] = {}
        self._lessons = self._take_lessons(workshop) if request.recovery == FINETUNE.name else None
        keep_freed_memory()

    def dense(self) -> Json:
        """The row of the unpruned network. Raises Stopped."""
        cell = Cell(DENSE, DEFAULT_TILE, 0.0, 0)
        return asdict(cell) | {"rung": "none", "sparsity": 0.0} | self._test(self.model.module, plan=None)

    def run(self, cell: Cell) -> list[Json]:
        """The rows of a cell. Raises Stopped."""
        plan = self._planner(cell).plan(self.request.spec(cell))
        task = RecoveryTask(
            self.model,
            plan,
            self.model.module,
            drawn(self._calibration, cell.seed),
            self._lessons,
            should_stop=self._should_stop,
        )
        rows: list[Json] = []
        best = task.start
        for rung in climb(task, top=self.request.recovery, validation=self._validation):
            for row in rows if rung.kept else ():
                row["kept"] = False
            best = rung.module if rung.kept else best
            rows.append(
                asdict(cell)
                | {"rung": rung.name, "sparsity": plan.sparsity}
                | self._test(rung.module, plan)
                | {
                    "validation": {"correct": rung.validation.correct, "total": rung.validation.total},
                    "kept": rung.kept,
                    "seconds": rung.seconds,
                    "notes": [*plan.notes, *rung.notes],
                }
            )
        next(row for row in rows if row["kept"])["errors"] = self._errors(best)
        return rows

    def _errors(self, module: nn.Module) -> dict[str, float]:
        batches = self._validation.inputs(0, _ERROR_IMAGES).split(_ERROR_BATCH)
        names = [info.name for info in self.model.layers]
        return layer_errors(self.model.module, module, batches, names, should_stop=self._should_stop)

    def _planner(self, cell: Cell) -> Planner:
        key = (cell.tile, cell.seed)
        if key not in self._planners:
            criterion = self.request.criterion
            stats = stats_for(
                self.model,
                criterion,
                folder=self._folder,
                seed=cell.seed,
                should_stop=self._should_stop,
            )
            self._planners[key] = Planner(
                self.model, criterion=criterion, tile=cell.tile, seed=cell.seed, stats=stats
            )
        return self._planners[key]

    def _test(self, module: nn.Module, plan: PruningPlan | None) -> Json:
        """On the test images; networks of the very same weights are tested once."""
        digest = state_digest(module)
        if digest not in self._tested:
            name, network = self._runnable(module, plan)
            quality = self._exam.sit(digest, network, should_stop=self._should_stop)
            self._tested[digest] = _quality(quality) | {"engine": name}
        return self._tested[digest]

    def _runnable(self, module: nn.Module, plan: PruningPlan | None) -> tuple[str, nn.Module]:
        """What answers, and on which engine."""
        declined = engine(SPARSE).available()
        if plan is None or plan.spec.pattern in CpuRuntime.no_engine or declined is not None:
            return TORCH, module
        shape = self.model.input_shape
        return SPARSE, convert(module, plan, input_shape=shape, batch=BATCH, engine=SPARSE)

    def _take_lessons(self, workshop: Workshop) -> Lessons:
        assert self.model.dataset is not None
        train = training_images(self.model.dataset, self._folder)
        return workshop.lessons(self.model.module, train, self._validation, self.request.tuning)[0]

    def _images(self, part: str) -> Images:
        if self.model.dataset is None:
            raise SpecError(
                f"Expected a model with an accuracy; {self.model.name} has none: {self.model.no_accuracy}"
            )
        return load_images(self.model.dataset, part, self._folder)


def _quality(quality: Quality) -> Json:
    return {
        "correct": quality.correct,
        "total": quality.total,
        "interval": list(quality.interval),
        "hits": packed_hits(quality.hits),
    }


def packed_hits(hits: Tensor) -> str:
    """Bool [N] as text: bits, compressed, in base64.

    >>> unpacked_hits(packed_hits(torch.tensor([True, False, True])), 3).tolist()
    [True, False, True]
    """
    return base64.b64encode(zlib.compress(np.packbits(hits.numpy()).tobytes(), 9)).decode()


def unpacked_hits(text: str, total: int) -> Tensor:
    """Inverse of `packed_hits`: bool [total]."""
    bits = np.frombuffer(zlib.decompress(base64.b64decode(text)), np.uint8)
    return torch.from_numpy(np.unpackbits(bits, count=total)).bool()


def missing(request: StudyRequest, rows: Sequence[Json]) -> list[Cell]:
    """The cells of `request` that `rows` do not have."""
    return [cell for cell in request.cells() if not any(cell.holds(row) for row in rows)]
