"""The layer benchmark: pruned layers on their engines beside the best dense layer and the smaller one.

Every candidate is checked against the exact product before it is timed; one that is wrong gets a row without
a time. All candidates of a layer, batch, tile and ratio are timed in one session, round by round; speed-ups
are against the fastest dense form of the same session. What the candidates are is each device's own matter:
kernels.cpu.bench and kernels.gpu.bench.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol

from kernels.measure import Measurement, Speedup, Timer, compare, measure
from kernels.pruned_layer import PATTERNS, UNBALANCED, BenchJob, PrunedLayer
from kernels.roofline import Ceiling

__all__ = ["PATTERNS", "BenchJob", "Candidate", "DeviceBench", "LayerRow", "checked", "layer_rows"]


@dataclass(frozen=True)
class LayerRow:
    """One timed candidate. Times in milliseconds; `density` is the share of multiply-accumulates it keeps.

    `gflops` counts those it keeps only; `peak_share` sets them against the machine's measured multiply-add
    rate. `limit_share` is the least time the machine allows (arithmetic or traffic, whichever is longer) as
    a share of the time taken. `speedup` is over the fastest of the device's dense forms in the same session,
    which `yardstick` names. `note` says why a candidate has no time, or how it was run. `wit` is the idle
    share that the mask predicts for thread blocks of one wave, None where there are no tiles; `waves` is how
    often the thread blocks fill the device. `over_column` is over unbalanced tiles in the same session, with
    its interval: where nothing but balance or order differs, 1 - 1 / over_column is what that is worth.
    `writes` says what of its result a layer writes where layouts leave a choice.
    """

    layer: str
    batch: int
    dtype: str
    tile: int
    ratio: float
    pattern: str
    engine: str
    density: float
    median_ms: float | None = None
    q1_ms: float | None = None
    q3_ms: float | None = None
    samples: int = 0
    speedup: float | None = None
    interval: tuple[float, float] | None = None
    verdict: str | None = None
    gflops: float | None = None
    peak_share: float | None = None
    limit_share: float | None = None
    noisy: bool = False
    yardstick: str | None = None
    note: str = ""
    wit: float | None = None
    waves: float | None = None
    over_column: float | None = None
    over_column_interval: tuple[float, float] | None = None
    writes: str = ""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Candidate:
    """Something to time: the call, or the reason (`note`) there is none.

    `density` is its share of the multiply-accumulates; `residual` says whether it adds one. `wit` is that of
    its mask, if it has one; `waves` and `writes` are those of LayerRow.
    """

    pattern: str
    engine: str
    density: float
    run: Callable[[], object] | None
    note: str = ""
    residual: bool = False
    wit: float | None = None
    waves: float | None = None
    writes: str = ""


class DeviceBench(Protocol):
    """A device's side of the benchmark.

    `dense_forms` are the candidates that do the same work densely; the fastest is the yardstick. The
    `baseline`, one of them, is doubled as the control. `patterns` are those it can time,
    `itemsize` is the bytes of a value. A sample takes `sample_seconds`.
    """

    baseline: str
    dense_forms: tuple[str, ...]
    patterns: tuple[str, ...]
    dtype: str
    itemsize: int
    sample_seconds: float

    def ceiling(self) -> Ceiling: ...

    def timer(self) -> Timer | None:
        """The clock of one session; None for the host's."""
        ...

    def candidates(self, layer: PrunedLayer, patterns: Sequence[str]) -> list[Candidate]:
        """The dense candidates, then `patterns`, each checked."""
        ...


def checked(candidate: Candidate, check: Callable[[], None]) -> Candidate:
    """The candidate, without its call if `check` raises AssertionError: what is wrong is not timed."""
    try:
        check()
    except AssertionError as error:
        return replace(candidate, run=None, note=f"not timed, its result is wrong: {error}")
    return candidate


def layer_rows(
    jobs: Sequence[BenchJob],
    bench: DeviceBench,
    *,
    patterns: Sequence[str] = PATTERNS,
    rounds: int = 15,
    progress: Callable[[float, str], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Iterator[tuple[LayerRow, ...]]:
    """The rows of each job as it is measured: first the dense candidates, then `patterns`.

    Raises Stopped when `should_stop` says so; the job under way is then lost, those before it are not.
    """
    ceiling = bench.ceiling() if jobs else None
    for number, job in enumerate(jobs):
        if progress:
            progress(number / len(jobs), str(job))
        layer = PrunedLayer(job)
        candidates = bench.candidates(layer, patterns)
        runs = {candidate.pattern: candidate.run for candidate in candidates if candidate.run is not None}
        taken: dict[str, Measurement] = {}
        if bench.baseline in runs:
            taken = measure(
                runs,
                baseline=bench.baseline,
                rounds=rounds,
                sample_seconds=bench.sample_seconds,
                should_stop=should_stop,
                timer=bench.timer(),
            )
        assert ceiling is not None
        yield tuple(_row(layer, candidate, taken, bench=bench, ceiling=ceiling) for candidate in candidates)
    if progress:
        progress(1.0, "done")


def _row(
    layer: PrunedLayer,
    candidate: Candidate,
    taken: dict[str, Measurement],
    *,
    bench: DeviceBench,
    ceiling: Ceiling,
) -> LayerRow:
    row = LayerRow(
        layer.shape.name,
        layer.batch,
        bench.dtype,
        layer.tile,
        layer.ratio,
        candidate.pattern,
        candidate.engine,
        candidate.density,
        note=candidate.note,
        wit=candidate.wit,
        waves=candidate.waves,
        writes=candidate.writes,
    )
    if candidate.run is None:
        return row
    if not taken:
        return replace(row, note=f"not timed, as {bench.baseline} has no time to compare with; {row.note}")
    yardstick = min(
        (name for name in bench.dense_forms if name in taken), key=lambda name: taken[name].median
    )
    time, gain = taken[candidate.pattern], compare(taken[candidate.pattern], taken[yardstick])
    balance = _over_column(candidate, taken)
    flops = layer.shape.flops(layer.batch, candidate.density)
    moved = layer.shape.moved(
        layer.batch, candidate.density, itemsize=bench.itemsize, residual=candidate.residual
    )
    return replace(
        row,
        median_ms=1e3 * time.median,
        q1_ms=1e3 * time.q1,
        q3_ms=1e3 * time.q3,
        samples=len(time.samples),
        speedup=gain.value,
        interval=gain.interval,
        verdict=gain.verdict,
        gflops=flops / time.median / 1e9,
        peak_share=flops / time.median / ceiling.flops,
        limit_share=ceiling.seconds(flops=flops, moved=moved) / time.median,
        noisy=time.noisy,
        yardstick=yardstick,
        over_column=None if balance is None else balance.value,
        over_column_interval=None if balance is None else balance.interval,
    )


def _over_column(candidate: Candidate, taken: dict[str, Measurement]) -> Speedup | None:
    """How many times faster other tiles are than unbalanced ones, if both were timed."""
    if candidate.wit is None or candidate.pattern == UNBALANCED or UNBALANCED not in taken:
        return None
    return compare(taken[candidate.pattern], taken[UNBALANCED])
