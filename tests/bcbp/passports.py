"""Passports with invented clocks: the states of a map turned into rows that pass every check."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from bcbp.crossover import DECLINED, LOSES, UNCLEAR, WINS, distinct_layers
from bcbp.intake.architectures import load_model
from bcbp.intake.model import LoadedModel
from bcbp.passport import MeasuredLayer, Passport, Rate
from kernels.bench import LayerRow
from kernels.cpu.bench import BASELINE
from kernels.layers import LayerShape

ENVIRONMENT: dict[str, Any] = {
    "cpu": "Test processor",
    "gpu": None,
    "instruction_set": "AVX2",
    "cores": 2,
    "usable_cores": 2,
    "threads": 2,
    "load": 0.4,
    "os": "Linux",
    "python": "3.12.1",
    "versions": {"torch": "2.15.0", "llvmlite": "0.50.0"},
    "commit": "0123456789abcdef",
    "date": "2026-11-23T12:00:00+00:00",
}
GPU = ENVIRONMENT | {"gpu": "NVIDIA Test GPU"}
# state -> speed-up, interval, verdict
_SPEEDS: dict[str, tuple[float, tuple[float, float], str]] = {
    WINS: (1.83, (1.79, 1.88), "better"),
    LOSES: (0.87, (0.85, 0.9), "worse"),
    UNCLEAR: (1.02, (0.97, 1.06), "cannot tell"),
}


def measured(
    shape: LayerShape,
    state: str,
    *,
    batch: int = 1,
    ratio: float = 0.5,
    tile: int = 32,
    dtype: str = "float32",
    dense_ms: float = 2.0,
) -> tuple[MeasuredLayer, MeasuredLayer]:
    """The dense row and the sparse one of a session that ended in `state`."""
    of = (shape.name, batch, dtype, min(tile, shape.geometry.rows), ratio)
    dense = _row(of, BASELINE, 1.0, (1.0, (0.99, 1.01), "cannot tell"), dense_ms)
    if state == DECLINED:
        sparse = LayerRow(*of, "bcbp", "cpu-tiles", 1 - ratio, note="no wide vectors")
    else:
        sparse = _row(of, "bcbp", 1 - ratio, _SPEEDS[state], dense_ms)
    date, commit = ENVIRONMENT["date"], ENVIRONMENT["commit"]
    return MeasuredLayer(shape, dense, date, commit), MeasuredLayer(shape, sparse, date, commit)


def _row(
    of: tuple[str, int, str, int, float],
    pattern: str,
    density: float,
    speed: tuple[float, tuple[float, float], str],
    dense_ms: float,
) -> LayerRow:
    gain, interval, verdict = speed
    time = dense_ms / gain
    return LayerRow(
        *of,
        pattern,
        "cpu-tiles",
        density,
        median_ms=time,
        q1_ms=0.98 * time,
        q3_ms=1.03 * time,
        samples=15,
        speedup=gain,
        interval=interval,
        verdict=verdict,
        yardstick=BASELINE,
    )


def passport(rows: Iterable[MeasuredLayer], *, gpu: bool = False) -> Passport:
    """Rows under invented conditions; of a later row of the same thing the later is kept."""
    rates = (Rate("multiply-adds", 4.6e11, "FLOP/s"), Rate("copy", 2.1e10, "B/s"))
    made = Passport("cuda" if gpu else "cpu", GPU if gpu else ENVIRONMENT, rates)
    for row in rows:
        made = made.with_row(row)
    return made


def model_passport(
    states: Mapping[float, str],
    *,
    model: str | LoadedModel = "sample",
    batches: tuple[int, ...] = (1,),
    tile: int = 32,
    gpu: bool = False,
    dtype: str = "float32",
    odd_one: str | None = None,
) -> Passport:
    """Every layer of a model in one state at each ratio; the first layer in state `odd_one`, if given."""
    rows: list[MeasuredLayer] = []
    loaded = load_model(model) if isinstance(model, str) else model
    for number, shape in enumerate(distinct_layers(loaded)):
        for batch in batches:
            for ratio, state in states.items():
                now = odd_one if odd_one and number == 0 else state
                rows += measured(shape, now, batch=batch, ratio=ratio, tile=tile, dtype=dtype)
    return passport(rows, gpu=gpu)
