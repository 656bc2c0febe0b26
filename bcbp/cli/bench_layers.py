"""`python -m bcbp bench layers` and `bench ceilings`: single layers, and what the device could do at best."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

from bcbp.cli.console import Console
from bcbp.cli.record import Record
from bcbp.cli.table import table
from bcbp.errors import SpecError
from bcbp.progress import Progress
from bcbp.spec import DENSE
from kernels.bench import BenchJob, DeviceBench, LayerRow, layer_rows
from kernels.cpu.bench import CpuBench
from kernels.cpu.target import choose_target
from kernels.layers import LAYERS
from kernels.precision import FP32, PRECISIONS, Precision
from kernels.roofline import Ceiling

CPU, CUDA = "cpu", "cuda"
DEVICES = (CPU, CUDA)
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
    bench, patterns = device_bench(chosen), [method for method in chosen.methods if method != DENSE]
    unknown = set(patterns) - set(bench.patterns)
    if unknown:
        raise SpecError(f"Expected methods out of {', '.join(bench.patterns)}; got {', '.join(unknown)}.")
    kept = record.resume()
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
            record.save()
            cells += [_cells(row) for row in measured]
            if chosen.limit_seconds is not None and time.monotonic() - began > chosen.limit_seconds:
                break
    finally:
        console.close()
        print(table(list(_HEADER), cells))
    if left:
        console.say(f"time is up: {left} layers are left; the same command goes on with them")


def chosen_jobs(chosen: argparse.Namespace) -> list[BenchJob]:
    """The jobs of the part asked for. Raises SpecError for a set of layers that is not listed."""
    name = chosen.model or "resnet18"
    if name not in LAYERS:
        raise SpecError(f"Expected layers out of {', '.join(LAYERS)}; got {name!r}.")
    index, count = chosen.part
    every = product(LAYERS[name], chosen.batch, chosen.ratio)
    return [BenchJob(shape, batch, chosen.tile, ratio) for shape, batch, ratio in every][index - 1 :: count]


def device_bench(chosen: argparse.Namespace) -> DeviceBench:
    """The device's side of the benchmark. Raises SpecError with the reason where it has none."""
    if chosen.device == CUDA:
        check_gpu("time layers on")
        from kernels.gpu.bench import GpuBench

        return GpuBench(PRECISIONS[chosen.precision or "fp16"])
    check_cpu_precision(chosen)
    try:
        choose_target()
    except RuntimeError as error:
        raise SpecError(f"Expected an engine to time layers on; {error}. Time networks.") from None
    return CpuBench()


def check_gpu(purpose: str) -> None:
    """Raises SpecError where no Triton kernel can be timed, with the reason."""
    from kernels.gpu.engine import interpreted, missing_reason

    reason = missing_reason()
    if interpreted():
        reason = "TRITON_INTERPRET=1 runs kernels in an interpreter, whose times mean nothing"
    if reason is not None:
        raise SpecError(f"Expected a GPU to {purpose}; {reason}.")


def check_cpu_precision(chosen: argparse.Namespace) -> None:
    if chosen.precision not in (None, FP32.name):
        raise SpecError(f"Expected --precision {FP32.name} on the CPU; got {chosen.precision}.")


def run_ceilings(
    chosen: argparse.Namespace, record: Record, console: Console, should_stop: Callable[[], bool]
) -> None:
    """The device's rates, in every precision or the one asked for."""
    cells = []
    for number, (name, measure) in enumerate(ceilings(chosen), start=1):
        console.show(Progress(number / (len(PRECISIONS) + 1), f"measuring ceilings, {name}"))
        ceiling = measure()
        record.rows.append(ceiling.to_json())
        record.save()
        cache = "" if ceiling.cache_bytes is None else f"{ceiling.cache_bytes / 1e9:,.0f}"
        cells.append([name, f"{ceiling.flops / 1e9:,.0f}", f"{ceiling.bytes / 1e9:,.1f}", cache])
        if should_stop():
            break
    console.close()
    print(table(["precision", "GFLOP/s", "copy GB/s", "second cache GB/s"], cells))


def ceilings(chosen: argparse.Namespace) -> list[tuple[str, Callable[[], Ceiling]]]:
    """What measures each ceiling, by precision. Raises SpecError where the device has none."""
    if chosen.device == CPU:
        bench = device_bench(chosen)
        return [(FP32.name, bench.ceiling)]
    check_gpu("measure")
    from kernels.gpu.ceiling import measure_ceiling

    def measures(precision: Precision) -> Callable[[], Ceiling]:
        return lambda: measure_ceiling(precision)

    wanted = [chosen.precision] if chosen.precision else list(PRECISIONS)
    return [(name, measures(PRECISIONS[name])) for name in wanted]


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
        ", ".join(filter(None, (row.verdict, "noisy" if row.noisy else "", row.note))),
    ]
