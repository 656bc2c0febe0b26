"""What a comparison is asked to do, as one frozen value: JSON both ways, checked where it enters."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, fields, replace
from typing import Any

from bcbp.allocation import ALLOCATIONS
from bcbp.errors import SpecError
from bcbp.intake.architectures import check_model
from bcbp.names import check_names
from bcbp.patterns import PATTERNS
from bcbp.planning import METHODS
from bcbp.preprocessing import Adjustment
from bcbp.recovery.tuning import Tuning
from bcbp.runtime import CPU, check_device
from bcbp.spec import DENSE, PruneSpec
from kernels.measure import MIN_ROUNDS
from kernels.precision import FP32

MAX_BATCH = 1024
MAX_ROUNDS = 1000
MAX_RATIOS = 8  # every method at each of them is in memory at once, to be timed in the same rounds


@dataclass(frozen=True)
class CompareRequest:
    """Which methods to compare on which model, and how long to look.

    `spec` holds for every method, with its pattern replaced, and so does `tuning`, where the spec's recovery
    is "finetune". `ratios` are several ratios for each method, in place of the one of `spec`. `batches` are
    the batch sizes to time, none for accuracy alone; `threads` is None for torch's own choice; `images`
    limits the test images (None = all, 0 = no accuracy); `data` is a folder with the images where they are
    not bundled, a zip of one, or stored images (`images:ID`), and `adjustment` what is to be prepared
    otherwise than the model expects; `rounds` are timing rounds. Networks are timed on `device` (see
    `bcbp.runtime`) in `precision`; accuracy is always that of float32 on the processor.
    """

    model: str = "sample"
    methods: tuple[str, ...] = (DENSE, "filter", "block", "column", "bcbp")
    spec: PruneSpec = field(default_factory=PruneSpec)
    tuning: Tuning = field(default_factory=Tuning)
    ratios: tuple[float, ...] = ()
    batches: tuple[int, ...] = (1, 32)
    threads: int | None = None
    images: int | None = None
    data: str | None = None
    adjustment: Adjustment = field(default_factory=Adjustment)
    rounds: int = 15
    device: str = CPU
    precision: str = FP32.name

    def __post_init__(self) -> None:
        """Raises SpecError or ModelError for anything that cannot be carried out."""
        check_model(self.model)
        check_distinct("methods", self.methods)
        check_distinct("batches", self.batches)
        unknown = [method for method in self.methods if method not in METHODS]
        if unknown or not self.methods:
            raise SpecError(f"Expected methods out of {listed(METHODS)}; got {listed(unknown) or 'none'}.")
        check_names(self.spec)
        self._check_ratios()
        self._check_masks()
        check_device(self.device, self.precision)
        for batch in self.batches:
            check_whole("a batch", batch, 1, MAX_BATCH)
        check_whole("rounds", self.rounds, MIN_ROUNDS, MAX_ROUNDS)
        for label, value, least in (("threads", self.threads, 1), ("images", self.images, 0)):
            if value is not None:
                check_whole(label, value, least, None)

    @property
    def pruned_methods(self) -> tuple[str, ...]:
        """Every method but dense, which is always run: it is what the others are compared with."""
        return tuple(method for method in self.methods if method != DENSE)

    def _check_ratios(self) -> None:
        for ratio in self.ratios:
            replace(self.spec, ratio=ratio)  # refused there if it is no share
        check_distinct("ratios", tuple(f"{ratio:g}" for ratio in self.ratios))
        if len(self.ratios) > MAX_RATIOS:
            raise SpecError(f"Expected at most {MAX_RATIOS} ratios; got {len(self.ratios)}.")
        if len(self.ratios) > 1 and not ALLOCATIONS[self.spec.allocation].follows_ratio:
            raise SpecError(
                f"Expected one ratio with allocation {self.spec.allocation}, which does not go by it; got "
                f"{listed(f'{ratio:g}' for ratio in self.ratios)}. Choose another allocation."
            )

    def _check_masks(self) -> None:
        """Masks out of a file are those of one method at one ratio."""
        if not self.spec.masks:
            return
        if self.spec.pattern not in self.methods:
            raise SpecError(
                f"Expected {self.spec.pattern} among the methods, whose masks {self.spec.masks} are; got "
                f"{listed(self.methods)}."
            )
        if self.ratios:
            raise SpecError(f"Expected the one ratio of the masks; got {listed(map(str, self.ratios))}.")

    @property
    def title(self) -> str:
        """The request in a few words, for lists of runs."""
        preset = ALLOCATIONS[self.spec.allocation]
        numbers = listed(f"{ratio:g}" for ratio in self.asked_ratios)
        ratios = f"ratio {numbers}" if preset.follows_ratio else preset.title
        masks = f" · masks {self.spec.masks}" if self.spec.masks else ""
        return f"{self.model} · tile {self.spec.tile} · {ratios}{masks}"

    @property
    def asked_ratios(self) -> tuple[float, ...]:
        return self.ratios or (self.spec.ratio,)

    @property
    def row_specs(self) -> tuple[PruneSpec, ...]:
        """The spec of every pruned row: all methods at one ratio, then all at the next.

        A pattern whose ratio is fixed has one row, at that ratio.
        """
        pairs = [(method, ratio) for ratio in self.asked_ratios for method in self.pruned_methods]
        specs = [replace(self.spec_for(method), ratio=_own_ratio(method, ratio)) for method, ratio in pairs]
        return tuple(dict.fromkeys(specs))

    @property
    def locked(self) -> str:
        """Which layers do not follow the several ratios, in a sentence; empty where all do."""
        if len(self.asked_ratios) == 1 or not self.spec.ratios:
            return ""
        named = listed(f"{name} ({ratio:g})" for name, ratio in self.spec.ratios)
        return f"Layers with a ratio of their own keep it at every ratio: {named}."

    def spec_for(self, method: str) -> PruneSpec:
        return self.spec.for_pattern(method)

    def to_json(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "methods": list(self.methods),
            "spec": self.spec.to_json(),
            "tuning": self.tuning.to_json(),
            "ratios": list(self.ratios),
            "batches": list(self.batches),
            "threads": self.threads,
            "images": self.images,
            "data": self.data,
            "adjustment": self.adjustment.to_json(),
            "rounds": self.rounds,
            "device": self.device,
            "precision": self.precision,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> CompareRequest:
        """Inverse of `to_json`; fields left out keep their default. Raises SpecError for unknown fields."""
        unknown = set(data) - {known.name for known in fields(cls)}
        if unknown:
            raise SpecError(f"Unknown field in a comparison request: {listed(sorted(unknown))}.")
        values = dict(data)
        if "spec" in values:
            values["spec"] = PruneSpec.from_json(values["spec"])
        if "tuning" in values:
            values["tuning"] = Tuning.from_json(values["tuning"])
        if "adjustment" in values:
            values["adjustment"] = Adjustment.from_json(values["adjustment"])
        for name in ("methods", "ratios", "batches"):
            if name in values:
                values[name] = tuple(values[name])
        return cls(**values)


def timed_batches(spec: PruneSpec, batches: tuple[int, ...]) -> tuple[int, ...]:
    """`batches`, and that of a latency target: a prediction is there to be held against a time.

    >>> timed_batches(PruneSpec(budget_ms=2.0, batch=8), (1, 32)), timed_batches(PruneSpec(batch=8), (1, 32))
    ((1, 8, 32), (1, 32))
    """
    if spec.budget_ms is None or spec.batch in batches:
        return batches
    return tuple(sorted((*batches, spec.batch)))


def _own_ratio(method: str, asked: float) -> float:
    fixed = PATTERNS[method].fixed_ratio
    return asked if fixed is None else fixed


def listed(names: Iterable[str]) -> str:
    """Names for a sentence."""
    return ", ".join(names)


def check_distinct(label: str, values: tuple[object, ...]) -> None:
    """Raises SpecError for a value that comes twice."""
    if len(set(values)) != len(values):
        raise SpecError(f"Expected {label} without repetition; got {', '.join(map(str, values))}.")


def check_whole(label: str, value: object, low: int, high: int | None) -> None:
    """`value` must be a whole number from `low` to `high` (None: without bound). Raises SpecError."""
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not whole or value < low or (high is not None and value > high):  # type: ignore[operator]
        span = f"from {low} to {high}" if high else f"of at least {low}"
        raise SpecError(f"Expected {label} {span}; got {value}.")
