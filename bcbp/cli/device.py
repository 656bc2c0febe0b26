"""`python -m bcbp device`: what this machine is, and from which ratio on pruning pays on it."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

from bcbp.cli.alone import alone
from bcbp.cli.command import (
    Command,
    add_json,
    add_model,
    check_json,
    numbers,
    shares,
    write_json,
)
from bcbp.cli.report_text import machine_text
from bcbp.cli.table import table
from bcbp.crossover import BreakEven, CrossoverMap, Slice, distinct_layers
from bcbp.device_request import DeviceRequest
from bcbp.devices import DEVICES, first_device
from bcbp.errors import SpecError
from bcbp.intake.architectures import load_model
from bcbp.jobs.store import default_root
from bcbp.measuring import measure_device
from bcbp.passport import Passport, PassportError, check_size
from bcbp.passport_store import PassportStore
from kernels.device import environment
from kernels.engines import ENGINE_NAMES, engine
from kernels.layers import LayerShape

INTERRUPTED = 130


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    default = DeviceRequest()
    add_model(parser)
    parser.add_argument("--measure", action="store_true", help="measure what the passport lacks of the model")
    parser.add_argument("--device", metavar="NAME", help=f"out of {', '.join(DEVICES)} (the first there is)")
    parser.add_argument("--tile", type=int, default=default.tile, help="filters per tile (%(default)s)")
    parser.add_argument(
        "--ratio", type=shares, default=default.ratios, metavar="RATIOS", help="(0.25,0.5,0.75,0.9)"
    )
    parser.add_argument("--batch", type=numbers, default=default.batches, metavar="SIZES", help="(1,8)")
    parser.add_argument("--rounds", type=int, default=default.rounds, help="timing rounds (%(default)s)")
    parser.add_argument("--again", action="store_true", help="measure also what was measured before")
    parser.add_argument(
        "--import", dest="imported", type=Path, metavar="FILE", help="keep and show a passport from elsewhere"
    )
    add_json(parser)


def request_of(chosen: argparse.Namespace) -> DeviceRequest:
    """What the arguments ask for. Raises SpecError, ModelError."""
    return DeviceRequest(
        model=chosen.model,
        device=chosen.device or first_device(),
        tile=chosen.tile,
        ratios=chosen.ratio,
        batches=chosen.batch,
        rounds=chosen.rounds,
        again=chosen.again,
    )


def _run(chosen: argparse.Namespace) -> int:
    """Measure if asked to, then show and write the passport as far as it came."""
    check_json(chosen.json)
    request, store = request_of(chosen), PassportStore(default_root())
    if chosen.imported is not None:
        if chosen.measure:
            raise SpecError("Expected --measure or --import; got both. Measure first, import afterwards.")
        passport, stopped = _take_in(store, chosen.imported), False
    else:
        conditions = environment()
        print(f"{machine_text(conditions)}\n\n{_engines()}")
        stopped = chosen.measure and _measure(request)
        passport = store.live(request.device, conditions)
    if passport is not None:
        print(f"\n{_passport_text(passport, request)}")
        write_json(chosen.json, passport.to_json())
    elif chosen.json is not None:
        raise PassportError("Expected a measured passport to write; there is none yet. Add --measure.")
    else:
        print(f"\nNothing is measured on {request.device} yet: add --measure.")
    return INTERRUPTED if stopped else 0


def _take_in(store: PassportStore, path: Path) -> Passport | None:
    """The checked passport of a file, which is kept from now on. Raises PassportError, OSError."""
    check_size(path.stat().st_size)
    stored = store.take_in(path.read_bytes())
    print(f"Imported as {stored.path}, of another machine or another time than live results")
    return stored.passport


def _measure(request: DeviceRequest) -> bool:
    """Measure alone on the device; whether it was interrupted."""
    with alone() as (console, interrupt):
        measure_device(
            request,
            root=default_root(),
            on_event=lambda now, _: console.show(now),
            should_stop=interrupt.asked,
        )
    return interrupt.asked()


def _engines() -> str:
    """Every engine, and why one is not available."""
    found = [(engine(name), engine(name).available()) for name in ENGINE_NAMES]
    rows = [[one.name, one.title, "available" if reason is None else reason] for one, reason in found]
    return table(["engine", "what", "on this machine"], rows)


def _passport_text(passport: Passport, request: DeviceRequest) -> str:
    """The device and its ceilings, then per dtype the break-even of every layer of the model."""
    rates = ", ".join(f"{rate.name} {rate.value / 1e9:.4g} G{rate.unit}" for rate in passport.rates)
    first, last = passport.dates
    parts = [f"{passport.name}, measured {first} to {last}. Ceilings: {rates or 'not measured'}"]
    layers = distinct_layers(load_model(request.model))
    for dtype in sorted({one.row.dtype for one in passport}):
        found = CrossoverMap(passport, Slice(request.tile, dtype))
        title = (
            f"Ratio from which on sparse beats the best dense: {request.model}, {dtype}, tile {request.tile}"
        )
        parts.append(f"{title}\n{_break_evens(found, layers, request.batches)}")
    return "\n\n".join(parts)


def _break_evens(found: CrossoverMap, layers: Mapping[LayerShape, int], asked: tuple[int, ...]) -> str:
    """A line a layer; the batch sizes are those measured, else those asked for."""
    batches = found.batches(shape.place for shape in layers) or asked
    rows = []
    for shape, count in layers.items():
        evens = [found.break_even(shape.place, batch) for batch in batches]
        rows.append([shape.name, str(count), *map(break_even_text, evens)])
    return table(["layer", "count", *(f"batch {batch}" for batch in batches)], rows)


def break_even_text(found: BreakEven) -> str:
    """
    >>> break_even_text(BreakEven(0.5, 0.9)), break_even_text(BreakEven(None, 0.9))
    ('0.5', 'none up to 0.9')
    >>> break_even_text(BreakEven(None, 0.9, unclear=True))
    'cannot tell up to 0.9'
    """
    if found.highest is None:
        return "not measured"
    if found.reason:
        return f"cannot run: {found.reason}"
    if found.ratio is not None:
        return f"{found.ratio:g}"
    return f"{'cannot tell' if found.unclear else 'none'} up to {found.highest:g}"


COMMAND = Command(
    name="device",
    summary="Show this machine, measure from which ratio on pruning pays on it, export and import that.",
    example="python -m bcbp device --measure --model sample --batch 1,8 --json passport.json",
    add_arguments=_add_arguments,
    run=_run,
)
