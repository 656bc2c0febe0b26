"""`python -m bcbp bench`: how fast whole networks, single layers and planning are on this machine."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import Any

import torch

from bcbp.benchmarks import planning_rows
from bcbp.cli.command import Command, add_json, check_json, names, numbers, shares, write_json
from bcbp.cli.console import Console, Interrupt
from bcbp.cli.report_text import latency_text, machine_text
from bcbp.cli.table import table
from bcbp.errors import SpecError
from bcbp.experiment import compare
from bcbp.jobs.device import hold_device
from bcbp.jobs.store import default_root
from bcbp.progress import Progress
from bcbp.request import CompareRequest
from bcbp.spec import DENSE, PruneSpec
from kernels.bench import PATTERNS, LayerRow, layer_rows
from kernels.cpu.target import choose_target
from kernels.device import environment, load_average
from kernels.layers import LAYERS
from kernels.measure import Stopped

INTERRUPTED = 130
Json = dict[str, Any]


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", choices=tuple(BENCHMARKS), help="; ".join(_HELP))
    parser.add_argument("--model", metavar="NAME", help="or set of layers (resnet18; planning: resnet50)")
    parser.add_argument("--tile", type=int, default=64, help="filters per tile (%(default)s)")
    parser.add_argument("--ratio", type=shares, default=(0.5, 0.75), metavar="RATIOS", help="(0.5,0.75)")
    parser.add_argument("--batch", type=numbers, default=(1, 8), metavar="SIZES", help="(1,8)")
    parser.add_argument("--methods", type=names, default=("dense", "filter", "bcbp"), metavar="NAMES")
    parser.add_argument("--rounds", type=int, default=15, help="timing rounds (%(default)s)")
    parser.add_argument("--threads", type=int, help="threads to run with (torch's own choice)")
    add_json(parser)


def _run(chosen: argparse.Namespace) -> int:
    """Run one benchmark alone on the device; what was found before an interruption is printed and written."""
    check_json(chosen.json)
    requests_of(chosen)  # refuses what is out of range, whichever benchmark it is for
    console, found = Console(sys.stderr), list[Json]()
    if chosen.threads is not None:
        torch.set_num_threads(chosen.threads)
    conditions = environment()
    with Interrupt(console) as interrupt:
        wait = "waiting for another measurement on this machine to end"
        alone = hold_device(default_root(), on_wait=lambda: console.say(wait), give_up=interrupt.asked)
        try:
            with alone:
                if interrupt.asked():  # while waiting
                    raise Stopped
                BENCHMARKS[chosen.what](chosen, found, console, interrupt.asked)
        except Stopped:
            console.say("stopped")
        finally:
            console.close()
            conditions["load_after"] = load_average()
            if found:
                print(machine_text(conditions))
                record = {"schema": 1, "kind": chosen.what, "environment": conditions, "rows": found}
                write_json(chosen.json, record)
    return INTERRUPTED if interrupt.asked() else 0


def requests_of(chosen: argparse.Namespace) -> list[CompareRequest]:
    """What the arguments ask for, a comparison without accuracy per ratio. Raises SpecError, ModelError."""
    if not chosen.ratio or not chosen.batch:
        raise SpecError("Expected at least one ratio and one batch size; got none.")
    # Sets of layers have names of their own, which that benchmark looks up itself.
    model = chosen.model if chosen.model and chosen.what != "layers" else "resnet18"
    return [
        CompareRequest(
            model=model,
            methods=chosen.methods,
            spec=PruneSpec(ratio=ratio, tile=chosen.tile),
            batches=chosen.batch,
            threads=chosen.threads,
            images=0,
            rounds=chosen.rounds,
        )
        for ratio in chosen.ratio
    ]


def _networks(
    chosen: argparse.Namespace, found: list[Json], console: Console, should_stop: Callable[[], bool]
) -> None:
    """Whole networks, all methods interleaved, one report per ratio; no accuracy."""
    for request in requests_of(chosen):
        report = compare(request, on_event=lambda now, _: console.show(now), should_stop=should_stop)
        console.close()
        found.append(report)
        what = f"{request.model}, tile {request.spec.tile}, ratio {request.spec.ratio:g}"
        for batch in report["latency"]:
            print(f"{what}. {latency_text(report, batch)}\n")
        if should_stop():
            raise Stopped


def _layers(
    chosen: argparse.Namespace, found: list[Json], console: Console, should_stop: Callable[[], bool]
) -> None:
    """The distinct layers of a network one by one, each against its best dense form."""
    name = chosen.model or "resnet18"
    patterns = [method for method in chosen.methods if method != DENSE]
    unknown = set(patterns) - set(PATTERNS)
    if name not in LAYERS:
        raise SpecError(f"Expected layers out of {', '.join(LAYERS)}; got {name!r}.")
    if unknown:
        raise SpecError(f"Expected methods out of {', '.join(PATTERNS)}; got {', '.join(unknown)}.")
    try:
        choose_target()
    except RuntimeError as error:
        raise SpecError(f"Expected an engine to time layers on; {error}. Time networks.") from None
    rows = layer_rows(
        LAYERS[name],
        ratios=chosen.ratio,
        batches=chosen.batch,
        tile=chosen.tile,
        patterns=patterns,
        rounds=chosen.rounds,
        progress=lambda share, what: console.show(Progress(share, what)),
        should_stop=should_stop,
    )
    cells: list[list[str]] = []
    try:
        for row in rows:
            found.append(row.to_json())
            cells.append(_layer_cells(row))
    finally:
        console.close()
        print(
            table(["layer", "batch", "ratio", "method", "median ms", "speed-up", "95 % interval", ""], cells)
        )


def _layer_cells(row: LayerRow) -> list[str]:
    low, high = row.interval or (None, None)
    return [
        row.layer,
        str(row.batch),
        f"{row.ratio:g}",
        row.pattern,
        "" if row.median_ms is None else f"{row.median_ms:.3f}",
        "" if row.speedup is None else f"{row.speedup:.2f}",
        "" if low is None else f"{low:.2f} to {high:.2f}",
        ", ".join(filter(None, (row.verdict, "noisy" if row.noisy else "", row.note))),
    ]


def _planning(
    chosen: argparse.Namespace, found: list[Json], console: Console, should_stop: Callable[[], bool]
) -> None:
    """Scoring a model once, and planning new ratios on it."""
    name = chosen.model or "resnet50"
    rows = planning_rows(name, tile=chosen.tile, rounds=chosen.rounds)
    found += [row.to_json() for row in rows]
    cells = [
        [
            row.task,
            f"{row.median_ms:.1f}",
            f"{row.q1_ms:.1f} to {row.q3_ms:.1f}",
            f"{row.limit_ms:.0f}",
            "noisy" if row.noisy else "",
        ]
        for row in rows
    ]
    print(f"Planning {name}, tile {chosen.tile}")
    print(table(["task", "median ms", "quartiles", "limit", ""], cells))


Benchmark = Callable[[argparse.Namespace, list[Json], Console, Callable[[], bool]], None]
BENCHMARKS: dict[str, Benchmark] = {"networks": _networks, "layers": _layers, "planning": _planning}
_HELP = ("networks: whole, against dense", "layers: one by one", "planning: what a slider waits for")

COMMAND = Command(
    name="bench",
    summary="Time whole networks, single layers, or planning itself, on this machine.",
    example="python -m bcbp bench networks --model resnet18 --tile 64 --ratio 0.5,0.75 --batch 1,8",
    add_arguments=_add_arguments,
    run=_run,
)
