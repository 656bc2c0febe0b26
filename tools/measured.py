"""Writes the measured tables of the documents from assets/recorded, so that no figure is typed by hand.

    python tools/measured.py      rewrites README.md, docs/measured.md and docs/gpu.md

The recordings are what the commands named in docs/measured.md wrote with --json, NAME@MACHINE.json the same
on other machines, and gpu-*.json what tools/record_gpu.sh wrote on a machine with a GPU.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))

from measured_tables import (  # noqa: E402
    OF_THE_LIMIT,
    RECORDED,
    Json,
    balance,
    budget,
    ceilings,
    comparison,
    conditions,
    layers,
    machine,
    networks,
    planning,
    speed,
)

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


def recording(name: str) -> Json:
    return json.loads((RECORDED / f"{name}.json").read_text())


def recordings(name: str) -> list[Json]:
    """The recording of that name, then those of other machines."""
    others = sorted(RECORDED.glob(f"{name}@*.json"))
    return [recording(name), *(recording(path.stem) for path in others)]


def on_every_machine() -> str:
    """The speed-ups of a whole network on every machine that has been measured, in one sentence."""
    told = []
    for record in recordings("networks-resnet18"):
        found = [
            f"{speed(row['speedup']['1'])} with {row['asked_ratio']:.0%} removed"
            for report in record["rows"]
            for row in report["rows"]
            if row["method"] == "bcbp"
        ]
        where = record["environment"]
        made = f"{machine(where)}, torch {where['versions']['torch']}, {where['date'][:10]}"
        told.append(f"{made}: {', '.join(found)}")
    return f"BCBP on ResNet-18, 224 pixels, V = 64, batch 1, over the best dense: {'; '.join(told)}."


def readme_section() -> str:
    """The comparison on the bundled sample, for the README."""
    _, command, table = TABLES["compare-sample"]
    report = recording("compare-sample")
    tested = report["rows"][0]["accuracy"]["total"]
    how = f"{tested:,} test images, recovery {report['request']['spec']['recovery']}, no training"
    return (
        f"{table(report)}\n\n`python -m bcbp {command}`: {report['model']['dataset']}, {how}. "
        f"{conditions(report['environment'])}\n\n{on_every_machine()} More in [docs/measured.md]"
        "(docs/measured.md)."
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
        parts += [f"## {title}", f"`python -m bcbp {command}`"]
        for record in (made := recordings(name)):
            where = [f"### {machine(record['environment'])}"] if len(made) > 1 else []
            parts += [*where, table(record), conditions(record["environment"])]
    idle = balance(recording("layers-resnet18"))
    parts += ["## Balance: predicted and measured", BALANCE_ON_CPU, idle]
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
