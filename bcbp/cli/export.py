"""`python -m bcbp export`: prune, recover, and write files that others can use."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from bcbp.cli.alone import alone
from bcbp.cli.command import (
    Command,
    add_data,
    add_model,
    add_spec,
    add_tuning,
    adjustment_of,
    check_tile,
    names,
    spec_of,
    tuning_of,
)
from bcbp.cli.table import table
from bcbp.export import EXPORTS
from bcbp.export_request import USUAL, ExportRequest
from bcbp.exporting import export
from bcbp.intake.architectures import load_model
from bcbp.jobs.kinds import FINETUNED
from bcbp.jobs.store import default_root
from bcbp.recovery.workshop import Workshop
from bcbp.team import Team, training_device
from kernels.measure import Stopped

INTERRUPTED = 130


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model(parser)
    parser.add_argument("--method", default="bcbp", metavar="NAME", help="how to prune (%(default)s)")
    add_spec(parser)
    add_tuning(parser)
    parser.add_argument(
        "--forms",
        type=names,
        default=USUAL,
        metavar="NAMES",
        help=f"out of {', '.join(EXPORTS)} ({','.join(USUAL)})",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="the folder to write into")
    add_data(parser)


def request_of(chosen: argparse.Namespace) -> ExportRequest:
    """What the arguments ask for. Raises SpecError, ModelError."""
    return ExportRequest(
        model=chosen.model,
        spec=spec_of(chosen, chosen.method),
        tuning=tuning_of(chosen),
        forms=chosen.forms,
        data=chosen.data,
        adjustment=adjustment_of(chosen),
    )


def _run(chosen: argparse.Namespace) -> int:
    request = request_of(chosen)
    check_tile(load_model(request.model), request.spec, [request.spec.pattern])
    root = default_root()
    with alone() as (console, interrupt):
        try:
            report = export(
                request,
                chosen.out,
                root=root,
                on_event=lambda now, _: console.show(now),
                should_stop=interrupt.asked,
                workshop=Workshop(root / FINETUNED, Team(device=training_device())),
            )
        except Stopped:
            return INTERRUPTED
    print(report_text(report))
    return 0


def report_text(report: dict[str, Any]) -> str:
    """The files, what is missing and why, and the size table."""
    lines = [f"{report['sparsity']:.2%} of the weights in scope removed, recovery {report['recovery']}"]
    lines += [
        f"{report['folder']}/{name}: {EXPORTS[form].title}"
        for form, found in report["files"].items()
        for name in found
    ]
    lines += [f"no {EXPORTS[form].title}: {reason}" for form, reason in report["missing"].items()]
    rows = [[size["form"], f"{size['bytes']:,}", f"{size['compressed']:,}"] for size in report["sizes"]]
    return "\n".join([*lines, "", table(["bytes of all tensors", "as they are", "compressed"], rows)])


COMMAND = Command(
    name="export",
    summary="Prune and recover a model, and write weights, masks, recipe, packed network and program.",
    example="python -m bcbp export --model sample --tile 32 --ratio 0.5 --out pruned",
    add_arguments=_add_arguments,
    run=_run,
)
