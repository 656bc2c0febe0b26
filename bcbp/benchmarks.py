"""How long planning takes: the figures behind "every slider answers at once"."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import cycle
from typing import Any

import numpy as np

from bcbp.device_request import RATIOS
from bcbp.intake.architectures import load_model
from bcbp.intake.model import LoadedModel
from bcbp.measured import LayerTimes, Measured
from bcbp.planning import Planner
from bcbp.spec import PruneSpec
from kernels.measure import Measurement, measure

_RATIOS = tuple(step / 100 for step in range(30, 80))


@dataclass(frozen=True)
class PlanningRow:
    """One line of the planning benchmark; times in milliseconds. `limit_ms` is what interactive use needs."""

    task: str
    median_ms: float
    q1_ms: float
    q3_ms: float
    samples: int
    limit_ms: float
    noisy: bool

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def planning_rows(model: str = "resnet50", *, tile: int = 32, rounds: int = 15) -> tuple[PlanningRow, ...]:
    """Time scoring a whole model, and plans at ever new ratios, in interleaved rounds. Raises ModelError."""
    loaded = load_model(model)
    planner, ratios = Planner(loaded, tile=tile), cycle(_RATIOS)

    def score() -> object:
        return Planner(loaded, tile=tile).plan(PruneSpec(tile=tile, ratio=next(ratios)))

    def plan(allocation: str) -> object:
        return planner.plan(PruneSpec(tile=tile, ratio=next(ratios), allocation=allocation))

    times = _times(loaded)
    dense = sum(times.dense.values())

    def target() -> object:
        budget = (1 - 0.5 * next(ratios)) * dense
        spec = PruneSpec(tile=tile, allocation="latency", budget_ms=budget)
        return planner.plan(spec, Measured(times=times))

    tasks = {
        "score and first plan": (score, 150.0),
        "new ratio, uniform": (lambda: plan("uniform"), 20.0),
        "new ratio, global": (lambda: plan("global"), 20.0),
        "new ratio, least loss": (lambda: plan("sensitivity"), 300.0),
        "new latency target": (target, 300.0),
    }
    runs = {name: run for name, (run, _) in tasks.items()}
    taken = measure(runs, baseline="new ratio, uniform", rounds=rounds)
    return tuple(_row(taken[name], limit) for name, (_, limit) in tasks.items())


def _times(model: LoadedModel) -> LayerTimes:
    """Made-up times, unequal as measured ones are: how long the choice takes does not hang on their unit."""
    generator = np.random.default_rng(0)
    dense = {info.name: 1e-8 * info.macs + 0.01 * generator.random() for info in model.layers}
    sparse = {
        name: {ratio: ms * (1.1 - 0.9 * ratio) * generator.uniform(0.9, 1.1) for ratio in RATIOS}
        for name, ms in dense.items()
    }
    return LayerTimes("made up", dense, sparse)


def _row(taken: Measurement, limit_ms: float) -> PlanningRow:
    median, q1, q3 = (1e3 * seconds for seconds in (taken.median, taken.q1, taken.q3))
    return PlanningRow(taken.name, median, q1, q3, len(taken.samples), limit_ms, taken.noisy)
