"""`python -m bcbp sensitivity`: what pruning each layer alone costs in accuracy."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from bcbp.cli.alone import alone
from bcbp.cli.command import (
    Command,
    add_data,
    add_json,
    add_model,
    adjustment_of,
    check_json,
    shares,
    write_json,
)
from bcbp.cli.table import table
from bcbp.jobs.store import default_root
from bcbp.scanning import scan_layers
from bcbp.sensitivity import Scan, Sensitivity
from bcbp.sensitivity_request import SensitivityRequest

INTERRUPTED = 130


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    default = SensitivityRequest()
    add_model(parser)
    parser.add_argument("--method", default=default.pattern, metavar="NAME", help="(%(default)s)")
    parser.add_argument("--criterion", default=default.criterion, metavar="NAME", help="(%(default)s)")
    parser.add_argument("--tile", type=int, default=default.tile, help="filters per tile (%(default)s)")
    parser.add_argument(
        "--ratio", type=shares, default=default.ratios, metavar="RATIOS", help="(0.25,0.5,0.75,0.9)"
    )
    parser.add_argument(
        "--images",
        type=int,
        default=default.images,
        help="validation images (%(default)s)",
    )
    parser.add_argument("--seed", type=int, default=default.seed, help="for random choices (%(default)s)")
    add_data(parser)
    add_json(parser)


def request_of(chosen: argparse.Namespace) -> SensitivityRequest:
    """What the arguments ask for. Raises SpecError, ModelError."""
    return SensitivityRequest(
        model=chosen.model,
        pattern=chosen.method,
        criterion=chosen.criterion,
        tile=chosen.tile,
        ratios=chosen.ratio,
        images=chosen.images,
        seed=chosen.seed,
        data=chosen.data,
        adjustment=adjustment_of(chosen),
    )


def _run(chosen: argparse.Namespace) -> int:
    """Scan, alone on the machine; what was measured before is not measured again."""
    check_json(chosen.json)
    request = request_of(chosen)
    with alone() as (console, interrupt):
        scan = scan_layers(
            request,
            root=default_root(),
            on_event=lambda now, _: console.show(now),
            should_stop=interrupt.asked,
        )
    print(scan_text(scan, request.ratios))
    write_json(chosen.json, scan.to_json())
    return INTERRUPTED if interrupt.asked() else 0


def scan_text(scan: Scan, ratios: Sequence[float]) -> str:
    """A line a layer: the points of accuracy lost at each ratio, with their interval."""
    names = dict.fromkeys(row.layer for row in scan)
    rows = [[name, *(_cell(scan.of(name).get(ratio)) for ratio in sorted(ratios))] for name in names]
    dense = "" if scan.accuracy is None else f", of {scan.accuracy:.2%}"
    head = (
        f"Points of accuracy lost when one layer is pruned ({scan.key.pattern}, tile {scan.key.tile})"
        f"{dense} on {scan.key.images} validation images; 95 % interval"
    )
    return f"{head}\n{table(['layer', *(f'{ratio:g} removed' for ratio in sorted(ratios))], rows)}"


def _cell(row: Sensitivity | None) -> str:
    if row is None:
        return "not measured yet"
    if row.drop is None or row.interval is None:
        return f"not measured: {row.reason}"
    low, high = row.interval
    return f"{100 * row.drop:.2f} ({100 * low:.2f} to {100 * high:.2f})"


COMMAND = Command(
    name="sensitivity",
    summary="Measure what pruning each layer alone costs in accuracy; what is measured is kept.",
    example="python -m bcbp sensitivity --model sample --tile 32 --ratio 0.5,0.75 --json scan.json",
    add_arguments=_add_arguments,
    run=_run,
)
