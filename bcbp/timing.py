"""Times networks in a process of its own: `python -m bcbp.timing`, a job on stdin, JSON lines on stdout.

All methods and all dense candidates of a batch size are built, checked against plain PyTorch, and then timed
in one interleaved session. The plans arrive with the job, so what is timed is what was planned. Weights
are those before recovery: recovery changes values, never shapes or masks, and so no time.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from bcbp.baselines import Declined
from bcbp.contestants import Contestant, dense_contestants, pruned_contestant
from bcbp.errors import ModelError
from bcbp.intake.architectures import load_model
from bcbp.intake.model import LoadedModel
from bcbp.patterns import PATTERNS
from bcbp.plan import PruningPlan
from bcbp.request import CompareRequest
from bcbp.roofline import network_limits
from bcbp.runtime import Runtime
from bcbp.runtime import runtime as runtime_of
from bcbp.spec import DENSE
from bcbp.timing_child import Emit, serve
from kernels.device import load_average
from kernels.measure import CONTROL, Measurement, Speedup, compare, fastest, measure
from kernels.memory import keep_freed_memory
from kernels.roofline import Ceiling

Tell = Callable[[float, str], None]

# Large networks at large batches end their session here, after at least MIN_ROUNDS rounds.
_LIMIT_SECONDS = 60.0
_PREPARED_SHARE = 0.5  # of a batch's progress bar: building and compiling take about as long as timing


@dataclass(frozen=True)
class TimingJob:
    """What to time: the request, and by its key the plan of every pruned row that has an engine."""

    request: CompareRequest
    plans: dict[str, PruningPlan]

    def to_json(self) -> dict[str, Any]:
        plans = {key: plan.to_json() for key, plan in self.plans.items()}
        return {"request": self.request.to_json(), "plans": plans}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> TimingJob:
        """Inverse of `to_json`."""
        plans = {key: PruningPlan.from_json(plan) for key, plan in data["plans"].items()}
        return cls(CompareRequest.from_json(data["request"]), plans)


@dataclass(frozen=True, eq=False)
class Contest:
    """Everything that is timed in one session, and who is not, with the reason."""

    dense: list[Contestant]
    methods: list[Contestant]
    declined: dict[str, str]


def time_networks(job: TimingJob, emit: Emit) -> None:
    """Time every batch size of the job, telling `emit` what happens as it happens.

    Events: {"event": "started", "threads", "ceiling", "ceiling_reason"} with the device's rates or the reason
    there are none, {"event": "progress", "batch", "share", "message"} and, after each batch size, {"event":
    "batch", "batch", "result"} with the result of `time_batch`.
    """
    if job.request.threads is not None:
        torch.set_num_threads(job.request.threads)
    keep_freed_memory()  # or fresh pages for every activation would be timed with the layers
    runtime = runtime_of(job.request.device, job.request.precision)
    ceiling, reason = _ceiling(runtime)
    rates = ceiling and ceiling.to_json()
    threads = torch.get_num_threads()
    emit({"event": "started", "threads": threads, "ceiling": rates, "ceiling_reason": reason})
    model = load_model(job.request.model)
    for batch in job.request.batches:
        tell = partial(_tell, emit, batch)
        result = time_batch(job, model, batch, runtime=runtime, tell=tell, ceiling=ceiling)
        emit({"event": "batch", "batch": batch, "result": result})


def _ceiling(runtime: Runtime) -> tuple[Ceiling | None, str]:
    """The rates, measured in this process and on its threads as the networks are; or None, and the reason.

    They take about a second. A passport's may be of other threads or another day.
    """
    try:
        return runtime.ceiling(), ""
    except Declined as reason:
        return None, str(reason)


def _tell(emit: Emit, batch: int, share: float, message: str) -> None:
    emit({"event": "progress", "batch": batch, "share": share, "message": message})


def time_batch(
    job: TimingJob,
    model: LoadedModel,
    batch: int,
    *,
    runtime: Runtime,
    tell: Tell,
    ceiling: Ceiling | None = None,
) -> dict[str, Any]:
    """Build, check and time all contestants on `batch` images; times in milliseconds.

    {"best_dense", "dense": {NAME: times}, "methods": {ROW KEY: times with "engine", "speed_claim", "speedup",
    "layers"}, "declined": {NAME: reason}, "control": {"value", "interval", "off"}, "noisy", "load"}, where
    times are {"median", "q1", "q3", "samples", "noisy", "limit_ms", "limit_share"} and speed-ups are over the
    session's best dense. The limit is the least time at the rates of `ceiling` (see bcbp.roofline) and its
    share of the median; None without them.
    """
    x = runtime.inputs(model.input_shape, batch)
    contest = _prepare(job, model, x, runtime=runtime, tell=tell)
    if not contest.dense:
        raise ModelError(f"Expected a dense network to compare with; {contest.declined}.")
    load = [load_average()]
    taken = _measure(contest, x, rounds=job.request.rounds, runtime=runtime, tell=tell)
    load.append(load_average())
    limits = {} if ceiling is None else network_limits(model, job.plans, batch=batch, ceiling=ceiling)
    return _result(contest, taken, limits) | {"load": load}


def _prepare(job: TimingJob, model: LoadedModel, x: Tensor, *, runtime: Runtime, tell: Tell) -> Contest:
    tell(0.0, "building and compiling the dense candidates")
    dense, declined = dense_contestants(model, x, runtime)
    methods: list[Contestant] = []
    for index, plan in enumerate(job.plans.values(), start=1):
        share = _PREPARED_SHARE * index / (len(job.plans) + 1)
        tell(share, f"building {PATTERNS[plan.spec.pattern].title}, choosing its engines")
        built, wrong = pruned_contestant(model, plan, x, runtime)
        methods += built
        declined |= wrong
    return Contest(dense, methods, declined)


def _measure(
    contest: Contest, x: Tensor, *, rounds: int, runtime: Runtime, tell: Tell
) -> dict[str, Measurement]:
    """All contestants in one session, with the fastest dense candidate doubled as its control."""

    def on_round(share: float) -> None:
        tell(_PREPARED_SHARE + share * (1 - _PREPARED_SHARE), "timing, all methods interleaved")

    with torch.no_grad():  # inference mode would make torch.compile start over, without frozen weights
        dense = {one.name: partial(one.run, x) for one in contest.dense}
        runs = dense | {one.name: partial(one.run, x) for one in contest.methods}
        return measure(
            runs,
            baseline=fastest(dense, timer=runtime.timer()),
            rounds=rounds,
            limit_seconds=_LIMIT_SECONDS,
            progress=on_round,
            timer=runtime.timer(),
        )


def _result(contest: Contest, taken: dict[str, Measurement], limits: Mapping[str, float]) -> dict[str, Any]:
    dense = {one.name: taken[one.name] for one in contest.dense}
    best = min(dense, key=lambda name: dense[name].median)
    control = taken[CONTROL].control
    return {
        "best_dense": best,
        "dense": {name: times_json(taken, limits.get(DENSE)) for name, taken in dense.items()},
        "methods": {
            one.name: times_json(taken[one.name], limits.get(one.name))
            | {
                "engine": one.engine,
                "speed_claim": one.speed_claim,
                "speedup": speedup_json(compare(taken[one.name], taken[best])),
                "layers": [asdict(layer) for layer in one.layers],
            }
            for one in contest.methods
        },
        "declined": contest.declined,
        "control": {"value": control.value, "interval": list(control.interval), "off": control.off},
        "noisy": any(measured.noisy for measured in taken.values()),
    }


def times_json(measured: Measurement, least: float | None) -> dict[str, Any]:
    """A measurement in milliseconds; `samples` holds one value per round, `least` is its limit in seconds."""
    return {
        "median": measured.median * 1e3,
        "q1": measured.q1 * 1e3,
        "q3": measured.q3 * 1e3,
        "samples": [round(sample * 1e3, 6) for sample in measured.samples],
        "noisy": measured.noisy,
        "limit_ms": None if least is None else least * 1e3,
        "limit_share": None if least is None else least / measured.median,
    }


def speedup_json(speedup: Speedup) -> dict[str, Any]:
    return {"value": speedup.value, "interval": list(speedup.interval), "verdict": speedup.verdict}


def main() -> int:
    """Time the job on stdin."""
    return serve(lambda job, emit: time_networks(TimingJob.from_json(job), emit))


if __name__ == "__main__":
    sys.exit(main())
