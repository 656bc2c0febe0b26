"""`python -m bcbp bench layers` and `bench ceilings`: single layers, and what the device could do at best."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from itertools import product
from typing import Any, TypeVar

from bcbp.cli.console import Console
from bcbp.cli.record import Record
from bcbp.cli.table import table
from bcbp.devices import DEVICES, gpu_bench, rates_of
from bcbp.errors import SpecError
from bcbp.progress import Progress
from bcbp.runtime import GPU
from bcbp.spec import DENSE
from kernels.bench import BenchJob, DeviceBench, LayerRow, layer_rows
from kernels.layers import LAYERS
from kernels.precision import PRECISIONS

T = TypeVar("T")
_HEADER = ("layer", "batch", "tile", "ratio", "method", "median ms", "speed-up", "95 % interval", "limit", "")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What measurements that run in parts need."""
    parser.add_argument("--part", type=part, default=(1, 1), metavar="I/N", help="only the I-th of N parts")
    parser.add_argument(
        "--limit-seconds", type=float, metavar="S", help="begin no layer later than this; run again to go on"
    )


def part(text: str) -> tuple[int, int]:
    """`2/6` as (2, 6)."""
    first, slash, second = text.partition("/")
    if slash and first.isdecimal() and second.isdecimal() and 1 <= int(first) <= int(second):
        return int(first), int(second)
    raise argparse.ArgumentTypeError(f"expected a part like 2/6, got {text!r}")


def run_layers(
    chosen: argparse.Namespace, record: Record, console: Console, should_stop: Callable[[], bool]
) -> None:
    """The distinct layers of a network one by one, each against its best dense form.

    Rows that the file of `record` holds are kept and not measured again; it is written after every layer.
    """
    bench, patterns = (
        device_bench(chosen, chosen.precision),
        [method for method in chosen.methods if method != DENSE],
    )
    unknown = set(patterns) - set(bench.patterns)
    if unknown:
        raise SpecError(f"Expected methods out of {', '.join(bench.patterns)}; got {', '.join(unknown)}.")
    kept = record.resume(chosen.device)
    jobs = [job for job in chosen_jobs(chosen) if not _is_done(job, bench, patterns, record.rows)]
    if kept:
        console.say(f"{kept} rows kept from {record.path}, {len(jobs)} layers left to measure")
    rows = layer_rows(
        jobs,
        bench,
        patterns=patterns,
        rounds=chosen.rounds,
        progress=lambda share, what: console.show(Progress(share, what)),
        should_stop=should_stop,
    )
    cells: list[list[str]] = []
    began, left = time.monotonic(), len(jobs)
    try:
        for measured in rows:
            left -= 1
            record.rows = [row for row in record.rows if _place(row) != _place(measured[0].to_json())]
            record.rows += [row.to_json() for row in measured]
            record.measured()
            cells += [_cells(row) for row in measured]
            if chosen.limit_seconds is not None and time.monotonic() - began > chosen.limit_seconds:
                break
    finally:
        console.close()
        print(table(list(_HEADER), cells))
    if left:
        console.say(f"time is up: {left} layers are left; the same command goes on with them")


def chosen_jobs(chosen: argparse.Namespace) -> Sequence[BenchJob]:
    """The jobs of the part asked for. Raises SpecError for a set of layers that is not listed."""
    name = chosen.model or "resnet18"
    if name not in LAYERS:
        raise SpecError(f"Expected layers out of {', '.join(LAYERS)}; got {name!r}.")
    every = product(LAYERS[name], chosen.batch, chosen.ratio)
    return split([BenchJob(shape, batch, chosen.tile, ratio) for shape, batch, ratio in every], chosen.part)


def split(jobs: Sequence[T], chosen: tuple[int, int]) -> Sequence[T]:
    """The I-th of N parts of `jobs`, (I, N): every N-th of them.

    >>> split("abcdefg", (2, 3))
    'be'
    """
    index, count = chosen
    return jobs[index - 1 :: count]


def device_bench(chosen: argparse.Namespace, precision: str | None) -> DeviceBench:
    """The device's side of the benchmark. Raises SpecError with the reason where it has none."""
    check_device(chosen.device)
    if chosen.device == GPU:
        return gpu_bench(precision or DEVICES[GPU].dtype)
    return DEVICES[chosen.device].bench()


def check_device(name: str) -> None:
    """Raises SpecError with the reason where this machine cannot be measured as that line of DEVICES."""
    missing = DEVICES[name].missing()
    if missing is not None:
        raise SpecError(f"Expected a machine that can measure on {name}; {missing}.")


def run_ceilings(
    chosen: argparse.Namespace, record: Record, console: Console, should_stop: Callable[[], bool]
) -> None:
    """The device's rates, in every precision or the one asked for."""
    names = list(PRECISIONS) if chosen.device == GPU and not chosen.precision else [chosen.precision]
    cells = []
    for number, name in enumerate(names):
        console.show(Progress(number / len(names), " ".join(filter(None, ("ceilings", name)))))
        ceiling = device_bench(chosen, name).ceiling()
        record.rows.append(ceiling.to_json())
        record.measured()
        cells += [[rate.name, f"{rate.value / 1e9:,.0f} G{rate.unit}"] for rate in rates_of(ceiling)]
        if should_stop():
            break
    console.close()
    print(table(["rate", "measured"], cells))


def _is_done(
    job: BenchJob, bench: DeviceBench, patterns: Sequence[str], rows: Sequence[dict[str, Any]]
) -> bool:
    """Whether all candidates of a job have rows."""
    place = (job.shape.name, job.batch, bench.dtype, job.height, job.ratio)
    return {bench.baseline, *patterns} <= {row["pattern"] for row in rows if _place(row) == place}


def _place(row: dict[str, Any]) -> tuple[object, ...]:
    """What rows of one session share."""
    return tuple(row[name] for name in ("layer", "batch", "dtype", "tile", "ratio"))


def _cells(row: LayerRow) -> list[str]:
    low, high = row.interval or (None, None)
    return [
        row.layer,
        str(row.batch),
        str(row.tile),
        f"{row.ratio:g}",
        row.pattern,
        "" if row.median_ms is None else f"{row.median_ms:.3f}",
        "" if row.speedup is None else f"{row.speedup:.2f}",
        "" if low is None else f"{low:.2f} to {high:.2f}",
        "" if row.limit_share is None else f"{row.limit_share:.0%}",
        ", ".join(filter(None, (row.verdict, "noisy" if row.noisy else "", _writes(row), row.note))),
    ]


def _writes(row: LayerRow) -> str:
    return f"writes {row.writes}" if row.writes else ""
