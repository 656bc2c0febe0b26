"""`python -m bcbp bench`: how fast whole networks and planning are on this machine."""

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
from bcbp.experiment import compare
from bcbp.jobs.device import hold_device
from bcbp.jobs.store import default_root
from bcbp.request import CompareRequest
from bcbp.spec import PruneSpec
from kernels.device import environment, load_average
from kernels.measure import Stopped

INTERRUPTED = 130
Json = dict[str, Any]


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", choices=tuple(BENCHMARKS), help="; ".join(_HELP))
    parser.add_argument("--model", metavar="NAME", help="networks: resnet18, planning: resnet50")
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
    console, found = Console(sys.stderr), list[Json]()
    if chosen.threads is not None:
        torch.set_num_threads(chosen.threads)
    conditions = environment()
    with Interrupt(console) as interrupt:
        wait = "waiting for another measurement on this machine to end"
        alone = hold_device(default_root(), on_wait=lambda: console.say(wait), give_up=interrupt.asked)
        try:
            with alone:
                BENCHMARKS[chosen.what](chosen, found, console, interrupt.asked)
        except Stopped:
            console.say("stopped")
        finally:
            console.close()
            conditions["load_after"] = load_average()
            print(machine_text(conditions))
            record = {"schema": 1, "kind": chosen.what, "environment": conditions, "rows": found}
            write_json(chosen.json, record)
    return INTERRUPTED if interrupt.asked() else 0


def _networks(
    chosen: argparse.Namespace, found: list[Json], console: Console, should_stop: Callable[[], bool]
) -> None:
    """Whole networks, all methods interleaved, one report per ratio; no accuracy."""
    for ratio in chosen.ratio:
        request = CompareRequest(
            model=chosen.model or "resnet18",
            methods=chosen.methods,
            spec=PruneSpec(ratio=ratio, tile=chosen.tile),
            batches=chosen.batch,
            threads=chosen.threads,
            images=0,
            rounds=chosen.rounds,
        )
        report = compare(
            request, on_event=lambda progress, _: console.show(progress), should_stop=should_stop
        )
        console.close()
        found.append(report)
        for batch in report["latency"]:
            print(f"{request.model}, tile {chosen.tile}, ratio {ratio:g}. {latency_text(report, batch)}\n")
        if should_stop():
            raise Stopped


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
BENCHMARKS: dict[str, Benchmark] = {"networks": _networks, "planning": _planning}
_HELP = ("networks: whole networks against dense", "planning: what a slider waits for")

COMMAND = Command(
    name="bench",
    summary="Time whole networks, or planning itself, on this machine.",
    example="python -m bcbp bench networks --model resnet18 --tile 64 --ratio 0.5,0.75 --batch 1,8",
    add_arguments=_add_arguments,
    run=_run,
)
