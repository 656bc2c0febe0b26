"""Runs as a worker leaves them on disk, made with the product's own report functions and invented clocks."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from bcbp.data import FASHION_MNIST, load_images
from bcbp.evaluation import PairedTest, Quality
from bcbp.files import write_json
from bcbp.intake.architectures import load_model
from bcbp.jobs import RunStore
from bcbp.jobs.kinds import PREDICTIONS, Request
from bcbp.jobs.store import REPORT_FILE, STATE_FILE
from bcbp.planning import Planner
from bcbp.predictions import Predictions, write_predictions
from bcbp.progress import Progress, Step
from bcbp.recovery.ladder import Rung, rungs_up_to
from bcbp.report import add_accuracy, add_rung, add_session, dense_row, new_report, plan_row
from bcbp.request import CompareRequest
from bcbp.rows import key_of
from kernels.roofline import Ceiling

ENVIRONMENT = {
    "cpu": "Test processor",
    "usable_cores": 2,
    "threads": 2,
    "load": 0.4,
    "gpu": None,
    "versions": {"torch": "2.15.0"},
    "date": "2026-11-23T12:00:00+00:00",
}
# method -> (speed-up at batch 1, its interval, verdict), as two cores might show them
SPEEDUPS = {
    "bcbp": (1.83, (1.79, 1.88), "better"),
    "column": (1.71, (1.66, 1.75), "better"),
    "block": (1.02, (0.97, 1.06), "cannot tell"),
    "filter": (0.87, (0.85, 0.9), "worse"),
}
CORRECT = {"dense": 9361, "bcbp": 9287, "column": 9280, "block": 9114, "filter": 9045}
DENSE_MS = 2.4
GAINED = 40  # images that every method gets right and dense does not


def report(
    request: CompareRequest | None = None,
    *,
    accuracy: bool = True,
    finished: bool = True,
    engine: str = "cpu-tiles",
) -> dict[str, Any]:
    """A report of `request` (the default comparison) as schema 1 has it; `engine` ran the pruned layers."""
    request = request or CompareRequest()
    model = load_model(request.model)
    planner = Planner(model, criterion=request.spec.criterion, tile=request.spec.tile)
    made = new_report(request, model, ENVIRONMENT)
    made["rows"].append(dense_row(model))
    made["rows"] += [plan_row(model, planner.plan(spec)) for spec in request.row_specs]
    for row in made["rows"] if accuracy else ():
        _add_accuracy(row)
    for batch in request.batches if finished else request.batches[:1]:
        add_session(made, batch, _session(made, batch, engine))
    made["ceiling"] = Ceiling(flops=4.61e11, bytes=2.13e10, threads=2).to_json()
    made["finished"] = finished
    return made


def _add_accuracy(row: dict[str, Any]) -> None:
    correct = CORRECT["dense"] - _loss(row)
    share = correct / 10_000
    quality = Quality(correct, 10_000, (share - 0.005, share + 0.005), None, None)  # type: ignore[arg-type]
    paired = None if row["method"] == "dense" else PairedTest(GAINED, GAINED + _loss(row), 0.001, "worse")
    add_accuracy(row, quality, paired)
    if row["method"] != "dense":
        _add_ladder(row, quality)


def _loss(row: dict[str, Any]) -> int:
    """Images: as measured at ratio 0.5, with the cube of the ratio."""
    return round((CORRECT["dense"] - CORRECT[row["method"]]) * (row["asked_ratio"] / 0.5) ** 3)


def predictions(made: dict[str, Any]) -> Predictions:
    """Answers to the bundled test images that have the counts of a report; a wrong one is the next class."""
    labels = load_images(FASHION_MNIST, "test").labels
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    right = torch.zeros(len(labels), dtype=torch.bool)
    right[order[: CORRECT["dense"]]] = True
    answers = {}
    for row in made["rows"]:
        now = right.clone()
        if row["method"] != "dense":
            now[order[: GAINED + _loss(row)]] = False
            now[order[-GAINED:]] = True
        answers[key_of(row)] = torch.where(now, labels, (labels + 1) % 10)
    return Predictions(FASHION_MNIST.classes, labels, answers)


def _add_ladder(row: dict[str, Any], top: Quality) -> None:
    """Each rung loses 3000 images less than the one below; the highest is the row's accuracy."""
    names = rungs_up_to("refit")
    for index, name in enumerate(names):
        correct = top.correct - 3000 * (len(names) - 1 - index)
        share = correct / 10_000
        quality = Quality(correct, 10_000, (share - 0.005, share + 0.005), None, None)  # type: ignore[arg-type]
        rung = Rung(name, None, 2.5 * index, quality, kept=True)  # type: ignore[arg-type]
        add_rung(row, rung, quality, PairedTest(3100, 100, 0.0, "better") if index else None)


def _session(made: dict[str, Any], batch: int, engine: str) -> dict[str, Any]:
    methods = {}
    for row in made["rows"][1:]:
        value, interval, verdict = _speedup(row)
        methods[key_of(row)] = _times(batch * DENSE_MS / value) | {
            "engine": engine,
            "speedup": {"value": value, "interval": list(interval), "verdict": verdict},
            "layers": [
                {"name": layer["name"], "engine": engine, "reason": "asked for"} for layer in row["layers"]
            ],
        }
    return {
        "methods": methods,
        "declined": {},
        "dense": {"compiled": _times(batch * DENSE_MS)},
        "best_dense": "compiled",
        "control": {"interval": [0.98, 1.02]},
    }


def _speedup(row: dict[str, Any]) -> tuple[float, tuple[float, ...], str]:
    """As measured at ratio 0.5; what is gained there grows with the ratio."""
    value, interval, verdict = SPEEDUPS[row["method"]]
    gained, *ends = (1 + (number - 1) * row["asked_ratio"] / 0.5 for number in (value, *interval))
    return gained, tuple(ends), verdict


def _times(median: float) -> dict[str, Any]:
    """With a limit that is reached to 40 %."""
    samples = [median * factor for factor in (0.97, 0.99, 1.0, 1.01, 1.04)]
    return {
        "median": median,
        "q1": samples[1],
        "q3": samples[3],
        "samples": samples,
        "noisy": False,
        "speed_claim": True,
        "limit_ms": 0.4 * median,
        "limit_share": 0.4,
    }


def store_run(
    root: Path,
    state: str = "done",
    *,
    request: Request | None = None,
    made: dict[str, Any] | None = None,
    answers: Predictions | None = None,
    error: str | None = None,
) -> str:
    """Write a run in `state` into the store at `root`; gives its id."""
    store = RunStore(root)
    run_id = store.create(request or CompareRequest())
    folder = store.folder(run_id)
    steps = (Step("Prune", "done"), Step("Latency at batch 1", "done" if state == "done" else "running"))
    progress = Progress(1.0 if state == "done" else 0.4, "Latency at batch 1", "", None, steps)
    if state != "queued":
        record = {"state": state, "pid": 1, "progress": asdict(progress), "error": error}
        write_json(folder / STATE_FILE, record)
    if made is not None:
        write_json(folder / REPORT_FILE, made)
    if answers is not None:
        write_predictions(folder / PREDICTIONS, answers)
    return run_id
