"""`python -m bcbp compare`: the main job on the command line."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from bcbp.cli.alone import alone
from bcbp.cli.changes_text import changes_text
from bcbp.cli.command import (
    Command,
    add_data,
    add_device,
    add_json,
    add_model,
    add_spec,
    add_tuning,
    adjustment_of,
    check_json,
    check_tile,
    names,
    numbers,
    precision_of,
    spec_of,
    tuning_of,
    write_json,
)
from bcbp.cli.equal_accuracy_text import ONE_POINT
from bcbp.cli.report_text import report_text
from bcbp.errors import SpecError
from bcbp.experiment import compare
from bcbp.intake.architectures import load_model
from bcbp.jobs.kinds import FINETUNED
from bcbp.jobs.store import default_root
from bcbp.planning import METHODS
from bcbp.predictions import Predictions, write_predictions
from bcbp.progress import Progress
from bcbp.recovery.workshop import Workshop
from bcbp.request import CompareRequest, timed_batches
from bcbp.team import Team, training_device

INTERRUPTED = 130


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    default = CompareRequest()
    add_model(parser)
    parser.add_argument(
        "--methods",
        type=names,
        default=default.methods,
        metavar="NAMES",
        help=f"out of {', '.join(METHODS)} ({','.join(default.methods)})",
    )
    add_spec(parser, several=True)
    add_tuning(parser)
    parser.add_argument(
        "--batch", type=numbers, default=default.batches, metavar="SIZES", help="batch sizes to time (1,32)"
    )
    parser.add_argument("--images", type=int, help="test on this many images only (all)")
    parser.add_argument("--rounds", type=int, default=default.rounds, help="timing rounds (%(default)s)")
    parser.add_argument("--threads", type=int, help="threads to run with (torch's own choice)")
    add_device(parser)
    parser.add_argument(
        "--max-loss",
        type=float,
        default=100 * ONE_POINT,
        metavar="POINTS",
        help="points of accuracy that the fastest method may lose (%(default)s)",
    )
    parser.add_argument(
        "--predictions",
        type=Path,
        metavar="FILE",
        help="also write what every network answered for every test image, as NumPy arrays (.npz)",
    )
    add_data(parser)
    add_json(parser)


def request_of(chosen: argparse.Namespace) -> CompareRequest:
    """What the arguments ask for. Raises SpecError, ModelError."""
    if not chosen.ratio:
        raise SpecError("Expected at least one ratio; got none.")
    spec = spec_of(chosen, ratio=chosen.ratio[0])
    return CompareRequest(
        model=chosen.model,
        methods=chosen.methods,
        spec=spec,
        tuning=tuning_of(chosen),
        ratios=chosen.ratio if len(chosen.ratio) > 1 else (),
        batches=timed_batches(spec, chosen.batch),
        threads=chosen.threads,
        images=chosen.images,
        data=chosen.data,
        adjustment=adjustment_of(chosen),
        rounds=chosen.rounds,
        device=chosen.device,
        precision=precision_of(chosen),
    )


def _run(chosen: argparse.Namespace) -> int:
    check_json(chosen.json)
    check_json(chosen.predictions, "--predictions")
    if not 0 <= chosen.max_loss <= 100:
        raise SpecError(f"Expected --max-loss in points of accuracy, from 0 to 100; got {chosen.max_loss:g}.")
    workshop = Workshop(default_root() / FINETUNED, Team(device=training_device()))
    return run_comparison(
        request_of(chosen),
        json=chosen.json,
        workshop=workshop,
        predictions=chosen.predictions,
        bound=chosen.max_loss / 100,
    )


def run_comparison(
    request: CompareRequest,
    *,
    json: Path | None,
    workshop: Workshop,
    predictions: Path | None = None,
    bound: float = ONE_POINT,
) -> int:
    """Compare; whatever ends it, what was found until then is printed and written. Gives the exit code."""
    check_tile(load_model(request.model), request.spec, request.pruned_methods)
    latest = _Latest()
    with alone() as (console, interrupt):

        def on_event(progress: Progress, report: dict[str, Any] | None) -> None:
            latest.take(report)
            console.show(progress)

        try:
            compare(
                request,
                on_event=on_event,
                on_predictions=latest.take_predictions,
                should_stop=interrupt.asked,
                workshop=workshop,
                root=default_root(),
            )
        finally:
            console.close()
            latest.show(request, bound, workshop.folder)
            write_json(json, latest.report)
            if predictions is not None and latest.predictions is not None:
                write_predictions(predictions, latest.predictions)
    return INTERRUPTED if interrupt.asked() else 0


class _Latest:
    """The report and the predictions as they were last published."""

    def __init__(self) -> None:
        self.report: dict[str, Any] | None = None
        self.predictions: Predictions | None = None

    def take(self, report: dict[str, Any] | None) -> None:
        self.report = report or self.report

    def take_predictions(self, predictions: Predictions) -> None:
        self.predictions = predictions

    def show(self, request: CompareRequest, bound: float, folder: Path | None) -> None:
        """Print what was found; `folder` is where fine-tuning keeps what it has."""
        if self.report is None:
            return
        parts = [report_text(self.report, bound=bound), request.locked]
        if self.predictions is not None:
            parts.append(changes_text(self.report, self.predictions))
        if any(row["curve"] for row in self.report["rows"]):
            parts.append(f"checkpoints and the best weights of fine-tuning: {folder}")
        print("\n\n".join(filter(None, parts)))


COMMAND = Command(
    name="compare",
    summary="Prune a model with several methods, test each on real images, time all of them against dense.",
    example=(
        "python -m bcbp compare --model sample --tile 32 --ratio 0.3,0.5,0.7 "
        "--methods dense,filter,block,column,bcbp --batch 1,32 --json out.json"
    ),
    add_arguments=_add_arguments,
    run=_run,
)
