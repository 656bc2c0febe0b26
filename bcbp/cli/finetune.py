"""`python -m bcbp finetune`: plan, recover, fine-tune and test; alone, or with torchrun in many processes."""

from __future__ import annotations

import argparse
import io
import os
import sys
from pathlib import Path

from bcbp.cli.command import (
    Command,
    add_data,
    add_json,
    add_model,
    add_spec,
    add_tuning,
    adjustment_of,
    check_json,
    spec_of,
    tuning_of,
)
from bcbp.cli.compare import run_comparison
from bcbp.cli.console import Console, Interrupt
from bcbp.data import training_images
from bcbp.image_folder import with_image_folder
from bcbp.intake.architectures import load_model
from bcbp.jobs.kinds import FINETUNED
from bcbp.jobs.store import default_root
from bcbp.picture_store import place_of
from bcbp.recovery import FINETUNE
from bcbp.recovery.finetune import follow, release
from bcbp.recovery.workshop import Workshop
from bcbp.request import CompareRequest
from bcbp.spec import DENSE
from bcbp.team import Team, joined
from bcbp.threads import threads_set
from kernels.memory import keep_freed_memory

LEADER_LOST = 1


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model(parser)
    parser.add_argument("--method", default="bcbp", metavar="NAME", help="how to prune (%(default)s)")
    add_spec(parser, recovery=False)
    add_tuning(parser)
    parser.add_argument("--images", type=int, help="test on this many images only (all)")
    parser.add_argument("--threads", type=int, help="threads of each process (torch's own choice)")
    parser.add_argument(
        "--checkpoint",
        type=Path,
        metavar="DIR",
        help="where checkpoints and weights are kept; the same command goes on from there (the run store)",
    )
    add_data(parser)
    add_json(parser)


def request_of(chosen: argparse.Namespace) -> CompareRequest:
    """What the arguments ask for: one method, every rung, no timing. Raises SpecError, ModelError."""
    return CompareRequest(
        model=chosen.model,
        methods=(DENSE, chosen.method),
        spec=spec_of(chosen, recovery=FINETUNE.name),
        tuning=tuning_of(chosen),
        batches=(),
        threads=chosen.threads,
        images=chosen.images,
        data=chosen.data,
        adjustment=adjustment_of(chosen),
    )


def _run(chosen: argparse.Namespace) -> int:
    check_json(chosen.json)
    request = request_of(chosen)
    with joined() as team:
        if not team.leads:
            return _follow(request, team)
        folder = chosen.checkpoint or default_root() / FINETUNED
        code = run_comparison(request, json=chosen.json, workshop=Workshop(folder, team))
        release(team)
        return code


def _follow(request: CompareRequest, team: Team) -> int:
    """Train along; the first process alone prints, writes and says when to stop."""
    folder = place_of(request.data)
    model = with_image_folder(load_model(request.model), folder, request.adjustment)
    # Without images nothing is trained, and the first process says so.
    train = None if model.dataset is None else training_images(model.dataset, folder)
    keep_freed_memory()
    with threads_set(request.threads), Interrupt(Console(io.StringIO())):
        try:
            follow(team, model, train)
        except RuntimeError as error:
            print(f"Process {team.rank} ends, mostly as the first has: {error}", file=sys.stderr, flush=True)
            os._exit(LEADER_LOST)  # leaving the team in good order would wait for the others
    return 0


COMMAND = Command(
    name="finetune",
    summary="Prune a model, recover it rung by rung, fine-tune it with its zeros frozen, and test it once.",
    example="python -m bcbp finetune --model sample --tile 32 --ratio 0.7 --epochs 5 --json out.json",
    add_arguments=_add_arguments,
    run=_run,
)
