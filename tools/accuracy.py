"""Writes docs/accuracy.md from assets/recorded/study-*.json, which `python -m bcbp study` wrote.

python tools/accuracy.py
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tools")]

from measured_tables import RECORDED, markdown  # noqa: E402

from bcbp.intake.architectures import load_model  # noqa: E402
from bcbp.patterns import PATTERNS  # noqa: E402
from bcbp.planning import make_plan  # noqa: E402
from bcbp.recovery import RECOVERIES  # noqa: E402
from bcbp.spec import DENSE, PruneSpec  # noqa: E402
from bcbp.study import TORCH  # noqa: E402
from bcbp.study_summary import Line, difference, lines_of, mean_accuracy  # noqa: E402
from kernels.device import processor  # noqa: E402

Json = dict[str, Any]
PAGE = ROOT / "docs" / "accuracy.md"
BCBP = "bcbp"
RIVALS = ("filter", "block", "column")
GOAL_MODEL = "sample"  # the limits against dense are for it
TILE, ERROR_RATIO = 32, 0.7  # of the goals, and of the layers' errors
# What BCBP of that tile may lose, in points: against dense without and with training, and to balance.
UNTRAINED, TRAINED, BALANCE = {0.5: 0.5, 0.7: 1.5}, {0.7: 0.3}, 0.3
GOALS = f"""### Goals

Of BCBP V = {TILE}: ✓ is met, ✗ missed. *Not below* is missed where the whole interval is below 0, *at
most so much below* where the mean is further below."""
ERRORS = f"""### Layer by layer

Relative error of each layer's outputs on validation images, ‖Ŷ - Y‖ / ‖Y‖, of the rung kept, V =
{TILE}. It holds what the layers before add; the last layer's is that of the network's answers."""
READ = f"""### What the tiles read

All filters of a tile read the same columns. In a layer of few tiles, at a high ratio, most columns are
then read by no tile, and what they hold is lost to every layer behind. A block loses rows as well, so
each tile reads more columns; smaller tiles read more together. The share of columns that some tile
reads, V = {TILE} unless it is said:"""
INTRODUCTION = """# Accuracy

Written by `tools/accuracy.py` from the studies in `assets/recorded`, which `python -m bcbp study` wrote.
Each network is tested on all test images of its data set, which no choice has seen. A figure is the mean
over draws of calibration images, in brackets the lowest and the highest. All methods have the same
criterion, the same images and the same ladder; ratios are uniform over the layers, stem and classifier
stay dense. What is blank has not been studied."""


def ratios_of(rows: Sequence[Json]) -> list[float]:
    return sorted({row["ratio"] for row in rows if "kept" in row})


def percent(share: float) -> str:
    return f"{100 * share:.2f}"


def label(line: Line) -> str:
    """The method, with its tile where it works in tiles."""
    title = PATTERNS[line.method].label
    return f"{title} V = {line.tile}" if line.method in (BCBP, "block", "column") else title


def cell(rows: Sequence[Json]) -> str:
    """Mean accuracy of one method at one ratio; the removed share where it is not the one asked for."""
    if not rows:
        return ""
    mean, (low, high) = mean_accuracy(rows)
    spread = f" ({percent(low)} to {percent(high)})" if high > low else ""
    removed = rows[0]["sparsity"]
    other = f", {removed:.0%} removed" if abs(removed - rows[0]["ratio"]) > 0.01 else ""
    return f"{percent(mean)}{spread}{other}"


def kept_table(rows: Sequence[Json]) -> str:
    """The rung kept on validation images, method by ratio."""
    ratios = ratios_of(rows)
    body = [[label(line), *(cell(line.rows(rows, ratio)) for ratio in ratios)] for line in lines_of(rows)]
    return markdown(["accuracy, %", *(f"{ratio:g} removed" for ratio in ratios)], body)


def ladder_table(rows: Sequence[Json]) -> str:
    """Rung by rung, method by ratio: means over the draws."""
    rungs = [name for name in RECOVERIES if any(row["rung"] == name and "kept" in row for row in rows)]
    body = []
    for line in lines_of(rows):
        for ratio in ratios_of(rows):
            if line.rows(rows, ratio):
                found = (line.rows(rows, ratio, rung=rung) for rung in rungs)
                body.append([label(line), f"{ratio:g}", *(percent(mean_accuracy(one)[0]) for one in found)])
    return markdown(["method", "ratio", *(RECOVERIES[rung].title for rung in rungs)], body)


def rival_table(rows: Sequence[Json]) -> str:
    """BCBP against dense, filters, and the other patterns of its tile, on the same images."""
    lines, ratios = lines_of(rows), ratios_of(rows)
    dense = [row for row in rows if row["method"] == DENSE]
    body = []
    for line in (line for line in lines if line.method == BCBP):
        rivals = [other for other in lines if other.method in RIVALS and _comparable(line, other)]
        for name, others in (("dense", None), *((label(rival), rival) for rival in rivals)):
            found = [
                _points(line.rows(rows, ratio), others.rows(rows, ratio) if others else dense)
                for ratio in ratios
            ]
            body.append([label(line), name, *found])
    return markdown(["points of accuracy", "above", *(f"{ratio:g} removed" for ratio in ratios)], body)


def _comparable(line: Line, other: Line) -> bool:
    return other.method == "filter" or other.tile == line.tile


def _points(rows: Sequence[Json], others: Sequence[Json]) -> str:
    if not rows or not others:
        return ""
    mean, (low, high) = difference(rows, others)
    return f"{100 * mean:+.2f} ({100 * low:+.2f} to {100 * high:+.2f})"


class Goal(NamedTuple):
    """BCBP against dense or a rival at a ratio: the difference with its interval, and whether it is met."""

    name: str
    ratio: float
    found: str
    met: bool


def goals(rows: Sequence[Json], study: Json) -> list[Goal]:
    """Every goal that these rows can tell of."""
    lines = lines_of(rows)
    own = next((line for line in lines if (line.method, line.tile) == (BCBP, TILE)), None)
    if own is None:
        return []
    dense = [row for row in rows if row["method"] == DENSE]
    limits = (TRAINED if study["tuning"] else UNTRAINED) if study["model"] == GOAL_MODEL else {}
    rivals: list[tuple[str, Sequence[Json] | Line, dict[float, float] | None]] = [("dense", dense, limits)]
    for line in lines:
        if line.method in RIVALS and _comparable(own, line):
            margin = dict.fromkeys(ratios_of(rows), BALANCE) if line.method == "column" else None
            rivals.append((label(line), line, margin))
    made = []
    for name, rival, limit in rivals:
        for ratio in ratios_of(rows) if limit is None else limit:
            others = rival.rows(rows, ratio) if isinstance(rival, Line) else rival
            if not (found := own.rows(rows, ratio)) or not others:
                continue
            mean, (_, high) = difference(found, others)
            title = f"not below {name}" if limit is None else f"at most {limit[ratio]:g} below {name}"
            met = high >= 0 if limit is None else 100 * mean >= -limit[ratio]
            made.append(Goal(title, ratio, _points(found, others), met))
    return made


def goal_table(found: Sequence[Goal]) -> str:
    ratios = sorted({goal.ratio for goal in found})
    cells = {(goal.name, goal.ratio): f"{'✓' if goal.met else '✗'} {goal.found}" for goal in found}
    names = dict.fromkeys(goal.name for goal in found)
    body = [[name, *(cells.get((name, ratio), "") for ratio in ratios)] for name in names]
    return markdown(["points of accuracy", *(f"{ratio:g} removed" for ratio in ratios)], body)


def error_table(rows: Sequence[Json], ratio: float) -> str:
    """Layer by layer, how far the outputs are off with each method of the goal's tile."""
    own = [row for row in rows if "errors" in row and (row["ratio"], row["tile"]) == (ratio, TILE)]
    lines = [line for line in lines_of(own) if line.method in (*RIVALS, BCBP)]
    body = []
    for layer in own[0]["errors"] if own else ():
        found = [[row["errors"][layer] for row in line.rows(own, ratio)] for line in lines]
        body.append([layer, *(f"{sum(errors) / len(errors):.1%}" for errors in found)])
    return markdown([f"{ratio:g} removed", *map(label, lines)], body) if body else ""


def read_table(study: Json, ratio: float) -> str:
    """The share of each layer's columns that some tile reads; masks follow from the weights alone."""
    model = load_model(study["model"])
    lines = [("block", TILE), ("column", TILE), (BCBP, TILE), (BCBP, TILE // 2)]
    plans = [
        make_plan(model, PruneSpec(pattern=method, tile=tile, ratio=ratio, criterion=study["criterion"]))
        for method, tile in lines
    ]
    shares: dict[str, list[str]] = {}
    for plan in plans:
        for layer in plan:
            read = layer.mask.keep[layer.mask.rows_per_tile > 0].any(0)
            shares.setdefault(layer.name, []).append(f"{float(read.float().mean()):.0%}")
    titles = [PATTERNS[method].label + (f" V = {tile}" if tile != TILE else "") for method, tile in lines]
    return markdown([f"{ratio:g} removed", *titles], [[name, *found] for name, found in shares.items()])


def not_kept(rows: Sequence[Json], study: Json) -> str:
    """Which fine-tuned networks were not better on validation images, in a sentence; empty without any."""
    top = [row for row in rows if study["tuning"] and row["rung"] == study["recovery"] and not row["kept"]]
    told = [
        f"{PATTERNS[row['method']].label}: {percent(row['correct'] / row['total'])} % of test images, "
        f"{row['validation']['correct']:,} of {row['validation']['total']:,} validation images"
        for row in top
    ]
    if not told:
        return ""
    return f"Fine-tuned, but not kept, as a rung below answers as many validation images: {'; '.join(told)}."


def made_with(environment: Json) -> str:
    """Versions, commit and date: all that an accuracy depends on beside the study itself."""
    versions = ", ".join(f"{name} {environment['versions'][name]}" for name in ("torch", "numpy"))
    made = f"commit {environment['commit'][:10]}, {environment['date'][:10]}"
    return f"{processor(environment)}, {versions}; {made}."


def trained(tuning: Json | None, rows: Sequence[Json]) -> str:
    """The settings of a fine-tuning in a sentence; empty where nothing was trained."""
    if tuning is None:
        return ""
    remarks = {remark for row in rows for remark in row.get("notes", ())}
    images = "not on all" if any("not on all" in remark for remark in remarks) else "on all"
    teacher = f", {tuning['distill']:g} of the loss follows the dense network" if tuning["distill"] else ""
    return (
        f" Fine-tuned {images} training images for {_epochs(tuning)}: {tuning['optimizer']}, "
        f"{tuning['schedule']}, peak rate {tuning['rate']:g}, batch {tuning['batch']}{teacher}."
    )


def _epochs(tuning: Json) -> str:
    return "1 epoch" if tuning["epochs"] == 1 else f"{tuning['epochs']} epochs"


def answered(rows: Sequence[Json]) -> str:
    """What gave the answers, in a sentence; rows of old do not say, they came from PyTorch."""
    engines = Counter(row.get("engine", TORCH) for row in rows if "kept" in row)
    if engines.keys() == {TORCH}:
        return "Pruned networks answered as masked PyTorch networks."
    every = sum(engines.values())
    return (
        f"{every - engines[TORCH]} of {every} tests of pruned networks ran on the CPU engine, the others as "
        "masked PyTorch networks, which differ from it by rounding."
    )


def section(record: Json) -> str:
    """One study: how it was made, and its tables."""
    rows, study = record["rows"], record["environment"]["study"]
    dense = next(row for row in rows if row["method"] == DENSE)
    low, high = dense["interval"]
    seeds = {row["seed"] for row in rows}
    aims = goals(rows, study)
    missed = sorted({goal.ratio for goal in aims if not goal.met})
    errors = [found for ratio in sorted({ERROR_RATIO, *missed}) if (found := error_table(rows, ratio))]
    reads = [] if study["tuning"] else [read_table(study, ratio) for ratio in missed]
    return "\n\n".join(
        [
            f"## {study['model']} on {study['dataset']}"
            + (f", fine-tuned for {_epochs(study['tuning'])}" if study["tuning"] else ""),
            f"Dense: {percent(dense['correct'] / dense['total'])} % of {dense['total']:,} test images "
            f"({percent(low)} to {percent(high)}, 95 %). Criterion {study['criterion']}; {len(seeds)} "
            f"{'draws' if len(seeds) > 1 else 'draw'} of calibration images; recovery up to "
            f"{RECOVERIES[study['recovery']].title}.{trained(study['tuning'], rows)}",
            *([GOALS, goal_table(aims)] if aims else []),
            "### Of the rung kept on validation images",
            kept_table(rows),
            "### BCBP against others on the same images",
            "How many points BCBP is above, with 95 % intervals of paired differences; below 0 it is worse.",
            rival_table(rows),
            "### Rung by rung",
            ladder_table(rows),
            *filter(None, [not_kept(rows, study)]),
            *([ERRORS, *errors] if errors else []),
            *([READ, *reads] if reads else []),
            f"{answered(rows)} {made_with(record['environment'])}",
        ]
    )


def document(folder: Path = RECORDED) -> str:
    studies = [
        json.loads(path.read_text())
        for path in sorted(folder.glob("study-*.json"), key=lambda path: path.stem)
    ]
    return "\n\n".join([INTRODUCTION, *(section(study) for study in studies)]) + "\n"


if __name__ == "__main__":
    PAGE.write_text(document())
