"""`python -m bcbp study`: the accuracy of methods x ratios x rungs; the next run goes on with its file."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import torch

from bcbp.cli.command import (
    Command,
    add_data,
    add_json,
    add_model,
    add_tuning,
    adjustment_of,
    check_json,
    names,
    numbers,
    shares,
    tuning_of,
)
from bcbp.cli.console import Console, Interrupt
from bcbp.cli.record import ACCURACY, Json, Record
from bcbp.jobs.kinds import FINETUNED
from bcbp.jobs.store import default_root
from bcbp.recovery import RECOVERIES
from bcbp.recovery.workshop import Workshop
from bcbp.spec import DENSE
from bcbp.study import Study, StudyRequest, missing
from bcbp.team import Team, training_device
from kernels.device import environment
from kernels.measure import Stopped

INTERRUPTED = 130


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    default = StudyRequest()
    add_model(parser)
    parser.add_argument(
        "--methods",
        type=names,
        default=default.methods,
        metavar="NAMES",
        help=f"NAME or NAME@TILE ({','.join(default.methods)})",
    )
    listed = ",".join(f"{ratio:g}" for ratio in default.ratios)
    parser.add_argument("--ratio", type=shares, default=default.ratios, metavar="RATIOS", help=f"({listed})")
    parser.add_argument(
        "--seeds",
        type=numbers,
        default=default.seeds,
        metavar="SEEDS",
        help="each draws other calibration images (0,1,2)",
    )
    parser.add_argument("--criterion", default=default.criterion, metavar="NAME", help="(%(default)s)")
    parser.add_argument(
        "--recovery",
        default=default.recovery,
        metavar="NAME",
        help=f"the highest rung: {', '.join(RECOVERIES)} (%(default)s)",
    )
    add_tuning(parser)
    parser.set_defaults(seed=0)
    parser.add_argument("--images", type=int, help="test on this many images only (all)")
    parser.add_argument("--threads", type=int, help="threads to run with (torch's own choice)")
    parser.add_argument("--limit-seconds", type=float, metavar="S", help="begin no further cell after that")
    add_data(parser)
    add_json(parser, "every row, at once; the same command goes on with the file")


def request_of(chosen: argparse.Namespace) -> StudyRequest:
    """What the arguments ask for. Raises SpecError."""
    return StudyRequest(
        model=chosen.model,
        methods=chosen.methods,
        ratios=chosen.ratio,
        seeds=chosen.seeds,
        criterion=chosen.criterion,
        recovery=chosen.recovery,
        tuning=tuning_of(chosen),
        images=chosen.images,
        data=chosen.data,
        adjustment=adjustment_of(chosen),
    )


def _run(chosen: argparse.Namespace) -> int:
    """Times nothing, so it does not ask for the machine alone: better not measure beside it."""
    check_json(chosen.json)
    request = request_of(chosen)
    if chosen.threads is not None:
        torch.set_num_threads(chosen.threads)
    console = Console(sys.stderr)
    with Interrupt(console) as interrupt:
        workshop = Workshop(default_root() / FINETUNED, Team(device=training_device()))
        study = Study(request, workshop=workshop, should_stop=interrupt.asked)
        try:
            _fill(study, _record(study, chosen.json), console, limit=chosen.limit_seconds)
        except Stopped:
            console.say("stopped; the same command goes on from here")
    return INTERRUPTED if interrupt.asked() else 0


def _record(study: Study, path: Path | None) -> Record:
    """The file of the study, with what it holds. Raises SpecError for one of another study."""
    model = study.model
    assert model.dataset is not None
    basis = study.request.basis | {"digest": model.digest, "dataset": model.dataset.title}
    if model.images_digest:
        basis["images_digest"] = model.images_digest
    record = Record(path, "study", environment() | {"study": basis})
    record.resume(ACCURACY)
    return record


def _fill(study: Study, record: Record, console: Console, *, limit: float | None) -> None:
    """Every cell that is missing, each on disk before the next begins. Raises Stopped."""
    began = time.monotonic()
    if not any(row["method"] == DENSE for row in record.rows):
        _add(record, [study.dense()])
    left = missing(study.request, record.rows)
    if record.path:
        console.say(f"{len(left)} cells to do; what {record.path} holds already is kept")
    for done, cell in enumerate(left):
        if limit is not None and time.monotonic() - began > limit:
            console.say(f"time is up: {len(left) - done} are left; the same command goes on with them")
            return
        console.say(f"{done + 1} of {len(left)}: {cell.label}")
        _add(record, study.run(cell))


def _add(record: Record, rows: list[Json]) -> None:
    record.rows += rows
    record.save()
    for row in rows:
        low, high = row["interval"]
        kept = ", kept" if row.get("kept") else ""
        print(
            f"{row['method']} tile {row['tile']} at {row['ratio']:g} (removed {row['sparsity']:.1%}), "
            f"seed {row['seed']}, {row['rung']}: {row['correct'] / row['total']:.2%} "
            f"({low:.2%} to {high:.2%}){kept}",
            flush=True,
        )


COMMAND = Command(
    name="study",
    summary="Measure how accurate each method is at each ratio, rung by rung, for several calibration draws.",
    example="python -m bcbp study --model sample --ratio 0.5,0.7 --json study.json",
    add_arguments=_add_arguments,
    run=_run,
)
