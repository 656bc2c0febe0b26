"""The tables of the measured documents, each made of one recording in assets/recorded: what --json wrote."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

RECORDED = Path(__file__).resolve().parent.parent / "assets" / "recorded"
# The least time at the machine's measured rates over the time taken: see bcbp/roofline.py.
OF_THE_LIMIT = "of the limit"
Json = dict[str, Any]


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; the first column to the left, the others to the right."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def filled(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table without the columns that have nothing in them: what recordings of old did not hold."""
    kept = [index for index, name in enumerate(header) if any(row[index] for row in rows)]
    return markdown([header[index] for index in kept], [[row[index] for index in kept] for row in rows])


def limit(entry: Json) -> str:
    """The share of what the machine allows; empty where it is not known."""
    share = entry.get("limit_share")
    return "" if share is None else f"{share:.0%}"


def machine(environment: Json) -> str:
    """The processor, its cores and its instruction set."""
    return f"{environment['cpu']}, {environment['usable_cores']} cores ({environment['instruction_set']})"


def conditions(environment: Json) -> str:
    """The machine, versions, load and date of a recording, in one sentence."""
    versions = ", ".join(f"{name} {version}" for name, version in environment["versions"].items() if version)
    state = environment.get("gpu_state") or {}
    gpu = f"{environment['gpu']}, driver {state['driver_version']}, " if state else ""
    return (
        f"{gpu}{machine(environment)}, {environment['threads']} threads, {versions}, "
        f"Python {environment['python']}; "
        f"load {environment['load']:.2f} before and {environment['load_after']:.2f} after; "
        f"commit {(environment['commit'] or 'unknown')[:10]}, {environment['date'][:10]}."
    )


def interval(low: float, high: float) -> str:
    return f"{low:.2f} to {high:.2f}"


def speed(entry: Json | None) -> str:
    """A speed-up with its interval; the verdict only where it is not "better"."""
    if not entry:
        return ""
    verdict = "" if entry["verdict"] == "better" else f", {entry['verdict']}"
    return f"{entry['value']:.2f}× ({interval(*entry['interval'])}{verdict})"


def comparison(report: Json) -> str:
    """Accuracy and speed of every method of a comparison."""
    batches = list(report["latency"])
    header = [
        "method",
        "weights removed",
        "accuracy (95 % interval)",
        *(f"speed-up, batch {b}" for b in batches),
        *(f"{OF_THE_LIMIT}, batch {b}" for b in batches),
    ]
    rows = []
    for row in report["rows"]:
        accuracy = row["accuracy"]
        share, (low, high) = accuracy["correct"] / accuracy["total"], accuracy["interval"]
        speeds = [
            f"1 ({row['latency_ms'][batch]['median']:.2f} ms, {report['latency'][batch]['best_dense']})"
            if row["method"] == "dense"
            else speed(row["speedup"].get(batch))
            for batch in batches
        ]
        tested = f"{share:.2%} ({low * 100:.2f} to {high * 100:.2f})"
        limits = [limit(row["latency_ms"].get(batch, {})) for batch in batches]
        rows.append([row["method"], f"{row['sparsity']:.1%}", tested, *speeds, *limits])
    return filled(header, rows)


def networks(record: Json) -> str:
    """Whole networks: milliseconds and speed-up over the best dense, by ratio and batch."""
    rows = []
    for report in record["rows"]:
        ratio = report["request"]["spec"]["ratio"]
        for batch, session in report["latency"].items():
            for row in report["rows"]:
                times = row["latency_ms"].get(batch)
                if times is None:
                    continue
                dense = row["method"] == "dense"
                gain = f"1 ({session['best_dense']})" if dense else speed(row["speedup"].get(batch))
                removed = "" if dense else f"{ratio:g}"
                macs = f"{row['macs'] / 1e6:.0f} M"
                cells = [row["method"], removed, batch, macs, f"{times['median']:.2f}", gain]
                rows.append([*cells, limit(times)])
    return filled(["method", "ratio", "batch", "MACs", "median ms", "speed-up", OF_THE_LIMIT], rows)


def layers(record: Json) -> str:
    """Single layers: speed-up over the best dense form, and the share of what the machine allows."""
    rows = []
    for row in record["rows"]:
        if row["speedup"] is None or (row["engine"] == "dense" and row["ratio"] == 0):
            continue
        gain = speed({"value": row["speedup"], "interval": row["interval"], "verdict": row["verdict"]})
        noisy = " (noisy)" if row["noisy"] else ""
        writes = f", writes {row['writes']}" if row.get("writes") else ""
        cells = [row["layer"], str(row["batch"]), f"{row['ratio']:g}", row["pattern"] + writes]
        rows.append([*cells, f"{row['median_ms']:.3f}", gain + noisy, limit(row)])
    header = ["layer", "batch", "ratio", "method", "median ms", "speed-up", OF_THE_LIMIT]
    return markdown(header, rows)


def balance(record: Json) -> str:
    """The idle share that WIT predicts of unbalanced tiles beside the measured one; empty without any."""
    sessions: dict[tuple[object, ...], dict[str, Json]] = {}
    for row in record["rows"]:
        at = tuple(row[name] for name in ("layer", "batch", "tile", "ratio"))
        sessions.setdefault(at, {})[row["pattern"]] = row
    rows = []
    for (layer, batch, tile, ratio), found in sessions.items():
        column, balanced = found.get("column"), found.get("bcbp-as-column") or found.get("bcbp")
        if not (column and column.get("wit") and balanced and balanced.get("over_column")):
            continue
        waves = "" if column.get("waves") is None else f"{column['waves']:.1f}"
        cells = [layer, str(batch), str(tile), f"{ratio:g}", waves, f"{column['wit']:.0%}"]
        rows.append([*cells, worth(balanced), worth(found.get("column-longest", {}))])
    header = ["layer", "batch", "tile", "ratio", "waves", "predicted idle (WIT)", "measured idle", "won back"]
    return filled(header, rows) if rows else ""


def worth(row: Json) -> str:
    """The share of the time of unbalanced tiles that is saved, with its interval."""
    if not row.get("over_column"):
        return ""
    value, (low, high) = 1 - 1 / row["over_column"], (1 - 1 / end for end in row["over_column_interval"])
    return f"{value:.0%} ({low:.0%} to {high:.0%})"


def planning(record: Json) -> str:
    """What a slider waits for."""
    rows = [
        [
            row["task"],
            f"{row['median_ms']:.1f}",
            f"{row['q1_ms']:.1f} to {row['q3_ms']:.1f}",
            f"{row['limit_ms']:g}",
        ]
        for row in record["rows"]
    ]
    return markdown(["task", "median ms", "quartiles", "goal, ms"], rows)


def budget(report: Json) -> str:
    """What the sum of measured layers predicts under a latency budget, beside the time of the network."""
    dense = next(row for row in report["rows"] if row["method"] == "dense")
    rows = []
    for row in report["rows"]:
        if not (found := row.get("forecast")):
            continue
        batch = str(found["batch"])
        times, whole = row["latency_ms"][batch]["median"], dense["latency_ms"][batch]["median"]
        rows.append(
            [
                row["method"],
                batch,
                f"{found['budget_ms']:.4g}",
                f"{found['ms']:.2f} of {found['dense_ms']:.2f}",
                f"{times:.2f} of {whole:.2f}",
                f"{found['dense_ms'] / found['ms']:.2f}×",
                speed(row["speedup"][batch]),
                f"{row['sparsity']:.1%}",
                f"{row['accuracy']['correct'] / row['accuracy']['total']:.2%}",
            ]
        )
    header = ["method", "batch", "budget, ms", "predicted, ms", "measured, ms", "predicted speed-up"]
    return markdown([*header, "measured speed-up", "weights removed", "accuracy"], rows)


def ceilings(record: Json) -> str:
    """What the card can do at best, by precision."""
    rows = [
        [
            row["precision"],
            f"{row['flops'] / 1e12:.0f}",
            f"{row['bytes'] / 1e12:.2f}",
            "" if row["cache_bytes"] is None else f"{row['cache_bytes'] / 1e12:.2f}",
        ]
        for row in record["rows"]
    ]
    return markdown(["precision", "products, TFLOP/s", "copy, TB/s", "second cache, TB/s"], rows)
