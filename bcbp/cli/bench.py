"""`python -m bcbp bench`: how fast whole networks, single layers and planning are on this machine."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch

from bcbp.benchmarks import planning_rows
from bcbp.cli import bench_layers
from bcbp.cli.alone import alone
from bcbp.cli.bench_layers import split
from bcbp.cli.command import (
    Command,
    add_device,
    add_json,
    check_json,
    model_name,
    names,
    numbers,
    precision_of,
    shares,
)
from bcbp.cli.console import Console
from bcbp.cli.record import Record
from bcbp.cli.report_text import latency_text, machine_text
from bcbp.cli.table import table
from bcbp.errors import SpecError
from bcbp.experiment import compare
from bcbp.request import CompareRequest
from bcbp.runtime import CPU
from bcbp.spec import DENSE, PruneSpec
from kernels.device import environment, load_average
from kernels.measure import Stopped

INTERRUPTED = 130
_ON_A_GPU = ("networks", "layers", "ceilings")


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", choices=tuple(BENCHMARKS), help="; ".join(_HELP))
    parser.add_argument(
        "--model", type=model_name, metavar="NAME", help="or set of layers (resnet18; planning: resnet50)"
    )
    parser.add_argument("--tile", type=int, default=64, help="filters per tile (%(default)s)")
    parser.add_argument("--ratio", type=shares, default=(0.5, 0.75), metavar="RATIOS", help="(0.5,0.75)")
    parser.add_argument("--batch", type=numbers, default=(1, 8), metavar="SIZES", help="(1,8)")
    parser.add_argument("--methods", type=names, default=("dense", "filter", "bcbp"), metavar="NAMES")
    parser.add_argument("--rounds", type=int, default=15, help="timing rounds (%(default)s)")
    parser.add_argument("--threads", type=int, help="threads to run with (torch's own choice)")
    add_device(parser)
    bench_layers.add_arguments(parser)
    add_json(parser)


def _run(chosen: argparse.Namespace) -> int:
    """Run one benchmark alone on the device; what was found before an interruption is printed and written."""
    check_json(chosen.json)
    _check_device(chosen)
    requests_of(chosen)  # refuses what is out of range, whichever benchmark it is for
    if chosen.threads is not None:
        torch.set_num_threads(chosen.threads)
    record = Record(chosen.json, chosen.what, environment())
    with alone() as (console, interrupt):
        try:
            if interrupt.asked():  # while waiting
                raise Stopped
            BENCHMARKS[chosen.what](chosen, record, console, interrupt.asked)
        except Stopped:
            console.say("stopped")
        finally:
            console.close()
            record.environment["load_after"] = load_average()
            if record.rows:
                print(machine_text(record.environment))
                record.save()
    return INTERRUPTED if interrupt.asked() else 0


def _check_device(chosen: argparse.Namespace) -> None:
    if chosen.device != CPU and chosen.what not in _ON_A_GPU:
        raise SpecError(f"Expected --device {CPU} for {chosen.what}; got {chosen.device}.")


def requests_of(chosen: argparse.Namespace) -> list[CompareRequest]:
    """What the arguments ask for: comparisons without accuracy. Raises SpecError, ModelError."""
    if not chosen.ratio or not chosen.batch:
        raise SpecError("Expected at least one ratio and one batch size; got none.")
    # Layers and their patterns have names of their own, which that benchmark looks up itself.
    own_names = chosen.what in ("layers", "ceilings")
    model = chosen.model if chosen.model and not own_names else "resnet18"
    methods = (DENSE,) if own_names else chosen.methods
    return [
        CompareRequest(
            model=model,
            methods=methods,
            spec=PruneSpec(ratio=ratio, tile=chosen.tile),
            batches=(batch,),
            threads=chosen.threads,
            images=0,
            rounds=chosen.rounds,
            device=chosen.device,
            precision=precision_of(chosen),
        )
        for ratio in chosen.ratio
        for batch in chosen.batch
    ]


def _networks(
    chosen: argparse.Namespace, record: Record, console: Console, should_stop: Callable[[], bool]
) -> None:
    """Whole networks, all methods interleaved, one report per ratio and batch; no accuracy.

    Reports that the file of `record` holds are kept and not measured again.
    """
    kept = record.resume(chosen.device)
    requests = [one for one in split(requests_of(chosen), chosen.part) if not _is_done(one, record)]
    if kept:
        console.say(f"{kept} reports kept from {record.path}, {len(requests)} left to measure")
    began = time.monotonic()
    for done, request in enumerate(requests):
        if chosen.limit_seconds is not None and time.monotonic() - began > chosen.limit_seconds:
            console.say(f"time is up: {len(requests) - done} are left; the same command goes on with them")
            return
        report = compare(request, on_event=lambda now, _: console.show(now), should_stop=should_stop)
        console.close()
        record.rows.append(report)
        record.measured()
        where = "" if request.device == CPU else f", {request.device} {request.precision}"
        what = f"{request.model}, tile {request.spec.tile}, ratio {request.spec.ratio:g}{where}"
        for batch in report["latency"]:
            print(f"{what}. {latency_text(report, batch)}\n")
        if should_stop():
            raise Stopped


def _is_done(request: CompareRequest, record: Record) -> bool:
    return any(
        report["finished"] and CompareRequest.from_json(report["request"]) == request
        for report in record.rows
    )


def _planning(
    chosen: argparse.Namespace, record: Record, console: Console, should_stop: Callable[[], bool]
) -> None:
    """Scoring a model once, and planning new ratios on it."""
    name = chosen.model or "resnet50"
    rows = planning_rows(name, tile=chosen.tile, rounds=chosen.rounds)
    record.rows += [row.to_json() for row in rows]
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


Benchmark = Callable[[argparse.Namespace, Record, Console, Callable[[], bool]], None]
BENCHMARKS: dict[str, Benchmark] = {
    "networks": _networks,
    "layers": bench_layers.run_layers,
    "ceilings": bench_layers.run_ceilings,
    "planning": _planning,
}
_HELP = (
    "networks: whole, against dense",
    "layers: one by one (both take up a file named by --json again)",
    "ceilings: what the device could do at best",
    "planning: what a slider waits for",
)

COMMAND = Command(
    name="bench",
    summary="Time whole networks, single layers, or planning itself, on this machine.",
    example="python -m bcbp bench networks --model resnet18 --tile 64 --ratio 0.5,0.75 --batch 1,8",
    add_arguments=_add_arguments,
    run=_run,
)
