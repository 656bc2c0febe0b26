"""A report as text: sizes and accuracy, then a table per batch size, then the conditions."""

from __future__ import annotations

from typing import Any

from bcbp.cli.equal_accuracy_text import ONE_POINT, equal_accuracy_text
from bcbp.cli.table import table
from bcbp.evaluation import wilson_interval
from bcbp.rows import name_of
from bcbp.spec import DENSE
from kernels.device import processor

Json = dict[str, Any]


def report_text(report: Json, *, bound: float = ONE_POINT) -> str:
    """Everything a reader needs to judge the comparison; `bound` is a share of accuracy that may be lost."""
    parts = [_sizes(report)] if report["rows"] else []
    if any(row["ladder"] for row in report["rows"]):
        parts.append(_ladder_text(report))
    if report.get("tuning"):
        parts.append(_curve_text(report))
    parts += [latency_text(report, batch) for batch in report["latency"]]
    parts += filter(None, (equal_accuracy_text(report, batch, bound) for batch in report["latency"]))
    reasons = _reasons(report)
    if reasons:
        parts.append("\n".join(reasons))
    if not report["finished"]:
        parts.append("Not finished: what is missing above was not reached.")
    return "\n\n".join([*parts, _conditions(report)])


def _sizes(report: Json) -> str:
    header = ["method", "removed", "MACs", "parameters", "accuracy", "95 % interval", "against dense"]
    header += ["WIT before", "after"]
    return table(header, [_size_row(name_of(report, row), row) for row in report["rows"]])


def _size_row(name: str, row: Json) -> list[str]:
    accuracy, paired = row["accuracy"], row["accuracy_vs_dense"]
    share = interval = test = ""
    if accuracy:
        share = f"{accuracy['correct'] / accuracy['total']:.2%}"
        interval = "{:.2%} to {:.2%}".format(*wilson_interval(accuracy["correct"], accuracy["total"]))
    if paired:
        test = f"+{paired['gained']} -{paired['lost']} images: {paired['verdict']}"
    return [
        name,
        f"{row['sparsity']:.1%}",
        f"{row['macs'] / 1e6:.1f} M",
        f"{row['parameters'] / 1e6:.3f} M",
        share,
        interval,
        test,
        f"{row['wit_before']:.3f}",
        f"{row['wit_after']:.3f}",
    ]


def _ladder_text(report: Json) -> str:
    """Every rung of every method: what it brings over the one below, and at what price."""
    header = ["method", "recovery", "accuracy", "95 % interval", "against the rung below", "seconds", ""]
    rungs = [(name_of(report, row), rung) for row in report["rows"] for rung in row["ladder"]]
    lines = [_rung_row(name, rung) for name, rung in rungs]
    notes = [f"{name}: {note}" for name, rung in rungs for note in rung["notes"]]
    return "\n".join(
        ["Recovery, rung by rung; kept is the best on validation images", table(header, lines), *notes]
    )


def _rung_row(method: str, rung: Json) -> list[str]:
    accuracy, paired = rung["accuracy"], rung["against_below"]
    return [
        method,
        rung["name"],
        f"{accuracy['correct'] / accuracy['total']:.2%}",
        "{:.2%} to {:.2%}".format(*accuracy["interval"]),
        f"+{paired['gained']} -{paired['lost']} images: {paired['verdict']}" if paired else "",
        f"{rung['seconds']:.1f}",
        "kept" if rung["kept"] else "",
    ]


def _curve_text(report: Json) -> str:
    """Every epoch of every method, and what they were trained with."""
    tuning, asked = report["tuning"], report["request"]["tuning"]
    header = ["method", "epoch", "loss", "training", "validation", "seconds"]
    lines = [_epoch_row(name_of(report, row), epoch) for row in report["rows"] for epoch in row["curve"]]
    return "\n".join(
        [
            f"Fine-tuning: {asked['epochs']} epochs of {tuning['images']:,} images, {asked['optimizer']}, "
            f"{asked['schedule']}, distillation {asked['distill']:g}; {tuning['precision']}; "
            f"{tuning['processes']} process(es) on {tuning['device']}",
            table(header, lines),
        ]
    )


def _epoch_row(method: str, epoch: Json) -> list[str]:
    right = epoch["correct"] / epoch["total"]
    return [
        method,
        str(epoch["number"]),
        f"{epoch['loss']:.4f}",
        f"{epoch['accuracy']:.2%}",
        f"{right:.2%}",
        f"{epoch['seconds']:.1f}",
    ]


def latency_text(report: Json, batch: str) -> str:
    """The table of one batch size, with what its noise allows to be said."""
    session = report["latency"][batch]
    rows = [
        _latency_row(name_of(report, row), row, batch) for row in report["rows"] if batch in row["latency_ms"]
    ]
    header = ["method", "median ms", "quartiles", "speed-up", "95 % interval", "verdict"]
    header += ["limit ms", "reached", "runs on"]
    others = ", ".join(f"{name} {times['median']:.3f} ms" for name, times in session["dense"].items())
    control = session["control"]
    lines = [
        f"Latency at batch {batch}",
        table(header, rows),
        f"dense candidates: {others}",
        "the same code against itself: {:.3f} ({:.3f} to {:.3f})".format(
            control["value"], *control["interval"]
        ),
    ]
    lines += [f"not timed: {name}: {reason}" for name, reason in session["declined"].items()]
    lines += _predicted_lines(report, batch)
    lines += _limit_lines(report, batch)
    if session["noisy"]:
        lines.append("This session was noisy: something else was running. Repeat it on a quiet machine.")
    return "\n".join(lines)


def _predicted_lines(report: Json, batch: str) -> list[str]:
    """What a latency target was expected to bring at that batch size, beside what it brought."""
    timed = [row for row in report["rows"] if batch in row["latency_ms"]]
    return [
        f"{name_of(report, row)}: predicted {told['ms']:.4g} of {told['dense_ms']:.4g} ms "
        f"({told['dense_ms'] / told['ms']:.2f}x), the sum of its layers timed alone; measured "
        f"{row['latency_ms'][batch]['median']:.4g} ms ({row['speedup'][batch]['value']:.2f}x)"
        for row in timed
        if (told := row.get("forecast")) and str(told["batch"]) == batch
    ]


def _latency_row(name: str, row: Json, batch: str) -> list[str]:
    times, speedup = row["latency_ms"][batch], row["speedup"][batch]
    low, high = speedup["interval"]
    dense = row["method"] == DENSE  # its interval is that of the clock check, which stands below the table
    return [
        name,
        f"{times['median']:.3f}",
        f"{times['q1']:.3f} to {times['q3']:.3f}",
        f"{speedup['value']:.2f}",
        "" if dense else f"{low:.2f} to {high:.2f}",
        "yardstick" if dense else speedup["verdict"],
        *_limit_cells(times),
        times["engine"] + ("" if times["speed_claim"] else " (no speed claim)"),
    ]


def _limit_cells(times: Json) -> tuple[str, str]:
    """The least time, and how much of it was reached; reports of old have none."""
    if times.get("limit_ms") is None:
        return "", ""
    return f"{times['limit_ms']:.3f}", f"{times['limit_share']:.0%}"


def _limit_lines(report: Json, batch: str) -> list[str]:
    """What the limit is, or why there is none; reports of old do not say."""
    rates = report.get("ceiling")
    if not rates:
        return [f"no limit: {report['ceiling_reason']}"] if report.get("ceiling_reason") else []
    lines = [
        f"limit: a perfect kernel for every layer, at {rates['flops'] / 1e9:,.0f} GFLOP/s "
        f"({rates['precision']}) and {rates['bytes'] / 1e9:,.1f} GB/s, both measured just before; pooling "
        "and what lies between layers is not counted"
    ]
    shares = [row["latency_ms"][batch]["limit_share"] for row in report["rows"] if batch in row["latency_ms"]]
    if max(shares) > 1:
        lines.append("Times below their limit: maps stay in a cache, or the rates were measured while busy.")
    return lines


def _reasons(report: Json) -> list[str]:
    """Why a figure is absent, each reason once."""
    rows = [(name_of(report, row), row) for row in report["rows"]]
    absent = [("accuracy", name, row["accuracy_reason"]) for name, row in rows if row["accuracy_reason"]]
    absent += [("latency", name, why) for name, row in rows for why in row["latency_reason"].values()]
    methods: dict[tuple[str, str], list[str]] = {}
    for what, method, why in absent:
        named = methods.setdefault((what, why), [])
        named += [method] if method not in named else []
    lines = [f"no {what} for {', '.join(names)}: {why}" for (what, why), names in methods.items()]
    permuted = [(name, row["importance"]) for name, row in rows if row.get("importance")]
    lines += [f"{name}: {importance_text(*importance)}" for name, importance in permuted]
    return lines + [f"{name}: {note}" for name, row in rows for note in row["notes"]]


def importance_text(before: float, after: float) -> str:
    """
    >>> importance_text(0.4477, 0.4744)
    'importance kept: 44.77% with filters in their own order, 47.44% permuted'
    """
    return f"importance kept: {before:.2%} with filters in their own order, {after:.2%} permuted"


def _conditions(report: Json) -> str:
    after = report["environment"].get("load_after")
    prepared = report["model"].get("preprocessing")
    images = f"images: {report['model']['dataset']}; {prepared['words']}\n" if prepared else ""
    return (
        f"{images}{machine_text(report['environment'])}, load after {after}, took {report['seconds']:.0f} s"
    )


def machine_text(machine: Json) -> str:
    """The conditions of a measurement in one line."""
    return (
        f"{processor(machine)}, {machine['cores']} cores, "
        f"{machine['threads']} threads, torch {machine['versions']['torch']}, {machine['date']}, "
        f"load {machine['load']}"
    )
