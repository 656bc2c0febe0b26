"""The crossover map as a figure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from app.state_map import BAD, GOOD, NONE, REFUSED, UNSURE, Cell, state_map
from app.words import formats
from bcbp.crossover import DECLINED, LOSES, NOT_MEASURED, UNCLEAR, WINS, Spot

FILLS = {WINS: GOOD, UNCLEAR: UNSURE, LOSES: BAD, DECLINED: REFUSED}
SIGNS = {WINS: "▲", UNCLEAR: "≈", LOSES: "▼", DECLINED: "✕", NOT_MEASURED: NONE}


@dataclass(frozen=True)
class MapLine:
    """One layer of the map: its label, and a spot per ratio."""

    label: str
    spots: tuple[Spot, ...]


def crossover_map(lines: Sequence[MapLine], ratios: Sequence[float]) -> go.Figure:
    """Layers down, ratios across."""
    return state_map([(line.label, [_cell(spot) for spot in line.spots]) for line in lines], ratios, FILLS)


def _cell(spot: Spot) -> Cell:
    gain = spot.row.row.speedup if spot.row else None
    number = "" if gain is None else formats.times(gain)
    return Cell(spot.state, SIGNS[spot.state], number, _explained(spot))


def _explained(spot: Spot) -> str:
    """What a cell says when it is pointed at: numbers of the file alone, none of its words."""
    row = spot.row.row if spot.row else None
    if row is None or row.median_ms is None or row.speedup is None or row.interval is None:
        return spot.state
    unsteady = "<br>the clock was unsteady" if row.noisy else ""
    return (
        f"{spot.state}: {formats.times(row.speedup)} "
        f"(95 % interval {formats.interval(row.interval, formats.times)})<br>"
        f"{formats.milliseconds(row.median_ms)} sparse{unsteady}"
    )
