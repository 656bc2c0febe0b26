"""What a sensitivity scan says: which layers can be pruned at no visible cost, and which cannot."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from app.state_map import BAD, GOOD, NONE, REFUSED, UNSURE, Cell, state_map
from app.verdict import Verdict
from app.words import formats
from bcbp.sensitivity import Scan, Sensitivity

LOSES, UNCLEAR, GAINS, REFUSES = "clearly loses", "cannot tell", "clearly gains", "was not pruned"
FILLS = {GAINS: GOOD, UNCLEAR: UNSURE, LOSES: BAD, REFUSES: REFUSED}
SIGNS = {GAINS: "▲", UNCLEAR: "≈", LOSES: "▼", REFUSES: "✕", formats.NOT_MEASURED: NONE}


def layers(scan: Scan) -> tuple[str, ...]:
    return tuple(dict.fromkeys(row.layer for row in scan))


def ratios(scan: Scan) -> tuple[float, ...]:
    return tuple(sorted({row.ratio for row in scan}))


def losses(scan: Scan | None) -> tuple[dict[str, str], tuple[float, ...]]:
    """What every layer of a scan loses, in words, and the ratios at which."""
    return ({name: _lost(scan, name) for name in layers(scan)}, ratios(scan)) if scan else ({}, ())


def _lost(scan: Scan, layer: str) -> str:
    rows = scan.of(layer)
    reason = next((row.reason for row in rows.values() if row.reason), "")
    drops = [rows[ratio].drop if ratio in rows else None for ratio in ratios(scan)]
    return formats.losses_at(drops) if set(drops) != {None} else f"{formats.NOT_MEASURED}: {reason}"


def state(row: Sensitivity | None) -> str:
    if row is None:
        return formats.NOT_MEASURED
    if row.interval is None:
        return REFUSES
    low, high = row.interval
    return LOSES if low > 0 else GAINS if high < 0 else UNCLEAR


def loss_map(scan: Scan) -> go.Figure:
    """Layers down, ratios across."""
    lines = [(name, [_cell(scan.of(name).get(ratio)) for ratio in ratios(scan)]) for name in layers(scan)]
    return state_map(lines, ratios(scan), FILLS)


def _cell(row: Sensitivity | None) -> Cell:
    found = state(row)
    number = "" if row is None or row.drop is None else formats.lost_points(row.drop)
    return Cell(found, SIGNS[found], number, lost(row) if number else found)


def lost(row: Sensitivity | None) -> str:
    """Points lost with their interval, or why there are none."""
    if row is None:
        return formats.NOT_MEASURED
    if row.drop is None or row.interval is None:
        return f"{REFUSES}: {row.reason}"
    return f"{formats.lost_points(row.drop)} ({formats.interval(row.interval, formats.lost_points)})"


def loss_lines(scan: Scan) -> list[dict[str, str]]:
    """A line a layer, a column a ratio."""
    return [
        {"Layer": name}
        | {formats.ratio_percent(ratio): lost(scan.of(name).get(ratio)) for ratio in ratios(scan)}
        for name in layers(scan)
    ]


def answer(scan: Scan) -> Verdict:
    """Which layer costs most, and up to which ratio how many cost nothing that can be told."""
    measured = [row for row in scan if row.drop is not None]
    if not measured:
        return Verdict(formats.NOT_MEASURED, "Not measured: no layer was pruned yet.", "")
    losing = [row for row in measured if state(row) == LOSES]
    if not losing:
        seen = len({row.layer for row in measured})
        sentence = f"No layer of the {seen} measured clearly loses accuracy when it alone is pruned."
        return Verdict("told", sentence, _free(measured))
    worst = max(losing, key=lambda row: row.drop or 0.0)
    sentence = (
        f"Most sensitive is {worst.layer}: pruned alone by {formats.ratio_percent(worst.ratio)}, it costs "
        f"{lost(worst)} points of accuracy."
    )
    return Verdict("told", sentence, _free(measured))


def _free(measured: Sequence[Sensitivity]) -> str:
    """At every ratio, how many layers do not clearly lose."""
    found = []
    for ratio in sorted({row.ratio for row in measured}):
        rows = [row for row in measured if row.ratio == ratio]
        free = sum(state(row) != LOSES for row in rows)
        found.append(f"{free} of {len(rows)} at {formats.ratio_percent(ratio)}")
    return f"Layers without a clear loss: {', '.join(found)}."
