"""Writes the measured tables of the documents from assets/recorded, so that no figure is typed by hand.

    python tools/measured.py      rewrites README.md, docs/measured.md and docs/gpu.md

The recordings are what the commands named in docs/measured.md wrote with --json, and gpu-*.json what
tools/record_gpu.sh wrote on a machine with a GPU.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RECORDED = ROOT / "assets" / "recorded"
# The least time at the machine's measured rates over the time taken: see bcbp/roofline.py.
OF_THE_LIMIT = "of the limit"
UNPRUNED = "dense cpu-tiles"  # kernels.cpu.bench.UNPRUNED; no import, to be quick
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


def conditions(environment: Json) -> str:
    """The machine, versions, load and date of a recording, in one sentence."""
    versions = ", ".join(f"{name} {version}" for name, version in environment["versions"].items() if version)
    state = environment.get("gpu_state") or {}
    gpu = f"{environment['gpu']}, driver {state['driver_version']}, " if state else ""
    return (
        f"{gpu}{environment['cpu']}, {environment['usable_cores']} cores ({environment['instruction_set']}), "
        f"{environment['threads']} threads, {versions}, Python {environment['python']}; load "
        f"{environment['load']:.2f} before and {environment['load_after']:.2f} after; "
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


BALANCE = (
    "*Predicted* is WIT, the share of its time that a layer of unbalanced tiles would idle if all of them "
    "ran side by side. *Measured* is 1 − the time of balanced over that of unbalanced tiles, of equal work, "
    "in one session, with its 95 % interval. "
)
BALANCE_ON_CPU = (
    f"{BALANCE}On a processor tiles become tasks, and a thread that is done takes what others have left: "
    "little idles, and what is measured is all that the other mask changes in the same engine."
)
BALANCE_ON_GPU = (
    f"{BALANCE}Both run by the launch that was tuned for the unbalanced ones, and so do these with the "
    "longest tile first, which *won back* so much. *Waves* is how often the thread blocks fill the card, as "
    "the cost model estimates it: at one or less all run at once, and with many the others fill the gaps."
)
NO_BALANCE = "No recording holds it yet; `bench layers` writes it beside every time of both."

BEFORE_OWN = (
    "Recorded before our own engine, with nothing removed, was one of the dense forms: part of these "
    "speed-ups is the engine's, not pruning's."
)

_RESNET18 = "--model resnet18 --tile 64 --ratio 0.5,0.75"
# recording -> title, the command that made it, and its table
TABLES: dict[str, tuple[str, str, Callable[[Json], str]]] = {
    "compare-sample": (
        "The bundled sample",
        "compare --model sample --tile 32 --ratio 0.3,0.5,0.7 --methods dense,filter,block,column,bcbp "
        "--batch 1,32 --rounds 31",
        comparison,
    ),
    "compare-sample-budget": (
        "A latency target for the sample: predicted and measured",
        "compare --model sample --tile 32 --methods dense,bcbp --allocation latency --budget-ms 22 "
        "--budget-batch 32 --batch 1,32 --rounds 31",
        budget,
    ),
    "networks-resnet18": (
        "ResNet-18 at 224 pixels",
        f"bench networks {_RESNET18} --batch 1 --methods dense,filter,block,bcbp",
        networks,
    ),
    "layers-resnet18": (
        "The layers of ResNet-18, one by one",
        f"bench layers {_RESNET18} --batch 1,8 --methods dense,filter,block,column,bcbp",
        layers,
    ),
    "planning-resnet50": ("Planning ResNet-50", "bench planning --model resnet50 --tile 32", planning),
}


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


# Kinds of benchmark -> the table of a recording made on a GPU.
GPU_TABLES: dict[str, Callable[[Json], str]] = {
    "ceilings": ceilings,
    "networks": networks,
    "layers": layers,
}
NO_GPU = (
    "No GPU has been measured for this project yet, so no GPU figure is given anywhere in it. "
    "`tools/record_gpu.sh` measures one."
)


def gpu_section(folder: Path = RECORDED) -> str:
    """Every recording of a GPU as a table with its conditions; plain words where there is none."""
    parts = []
    for path in sorted(folder.glob("gpu-*.json")):
        record = json.loads(path.read_text())
        what, _, card = path.stem.removeprefix("gpu-").partition("@")
        parts += [
            f"### {what.replace('-', ', ')} ({card})",
            GPU_TABLES[record["kind"]](record),
            conditions(record["environment"]),
        ]
        if record["kind"] == "layers" and (table := balance(record)):
            parts += [f"#### Balance: predicted and measured ({what}, {card})", BALANCE_ON_GPU, table]
    return "\n\n".join(parts) or NO_GPU


def _knows_own(record: Json) -> bool:
    """Whether the layers were also timed on our own engine with nothing removed."""
    return any(row["pattern"] == UNPRUNED for row in record["rows"])


def recording(name: str) -> Json:
    return json.loads((RECORDED / f"{name}.json").read_text())


def readme_section() -> str:
    """The comparison on the bundled sample, for the README."""
    _, command, table = TABLES["compare-sample"]
    report = recording("compare-sample")
    tested = report["rows"][0]["accuracy"]["total"]
    how = f"{tested:,} test images, recovery {report['request']['spec']['recovery']}, no training"
    return (
        f"{table(report)}\n\n`python -m bcbp {command}`: {report['model']['dataset']}, {how}. "
        f"{conditions(report['environment'])} More in [docs/measured.md](docs/measured.md)."
    )


def measured_document() -> str:
    """docs/measured.md."""
    parts = [
        "# Measured",
        "Written by `tools/measured.py` from `assets/recorded`; speed-ups are over the best dense form, "
        "with 95 % intervals over interleaved rounds. A verdict is named where it is not *better*. "
        "*filter* is the physically smaller network or layer of about equal arithmetic: on large planes at "
        "batch 8 it moves fewer bytes, because its output shrinks too, and there it can be ahead. "
        f"*{OF_THE_LIMIT.capitalize()}* is the least time at the machine's measured rates, arithmetic or "
        "memory traffic, over the time taken; recordings of networks from before it was kept have none.",
    ]
    for name, (title, command, table) in TABLES.items():
        record = recording(name)
        parts += [
            f"## {title}",
            f"`python -m bcbp {command}`",
            table(record),
            *([BEFORE_OWN] if record.get("kind") == "layers" and not _knows_own(record) else []),
            conditions(record["environment"]),
        ]
    idle = balance(recording("layers-resnet18"))
    parts += ["## Balance: predicted and measured", BALANCE_ON_CPU, idle or NO_BALANCE]
    return "\n\n".join(parts) + "\n"


def with_section(document: str, section: str, mark: str = "measured") -> str:
    """`document` with what stands between the two marks of that name replaced."""
    begin, end = f"<!-- {mark}: begin -->", f"<!-- {mark}: end -->"
    head, rest = document.split(begin)
    return f"{head}{begin}\n{section}\n{end}{rest.split(end)[1]}"


def main() -> None:
    readme = ROOT / "README.md"
    readme.write_text(with_section(readme.read_text(), readme_section()))
    (ROOT / "docs" / "measured.md").write_text(measured_document())
    gpu = ROOT / "docs" / "gpu.md"
    gpu.write_text(with_section(gpu.read_text(), gpu_section(), "gpu"))


if __name__ == "__main__":
    main()
