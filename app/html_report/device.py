"""A device measurement or a passport: where pruning pays, layer by layer (`bcbp.device_report`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app import device_findings
from app.device_charts import SIGNS, crossover_map
from app.device_findings import View
from app.html_report.cards import card
from app.html_report.document import Document
from app.html_report.figures import figure
from app.html_report.html import Html, element, table
from app.html_report.manifest import Fact, conditions, fingerprint, manifest
from app.html_report.replay import NOT_MEASURED, Axis, Figure, Grid, Points, replay
from app.html_report.sections import answer_box
from app.words import device_words, formats, report_words
from app.words.help_texts import HELP
from bcbp.crossover import CrossoverMap, Slice, Spot, slices
from bcbp.device_report import layers_of
from bcbp.passport import KIND, Passport
from kernels.layers import LayerShape


def knows(data: dict[str, Any]) -> bool:
    return data.get("kind") == KIND


@dataclass(frozen=True)
class _Part:
    """What was measured in tiles of one width in one number format, at one batch size."""

    chosen: Slice
    view: View

    @property
    def title(self) -> str:
        return f"{_tiles(self.chosen)}, batch {self.view.batch}"


def document(data: dict[str, Any]) -> Document:
    """Raises PassportError, FieldError."""
    passport = Passport.from_json(data)
    parts = _parts(passport, layers_of(data, passport), whole="layers" in data)
    recorded = device_words.recorded(passport.name, passport.dates[1])
    return Document(
        f"Where pruning pays on {passport.name}",
        f"{recorded}.",
        (
            *_verdicts(parts),
            replay(recorded, _grid(parts)),
            *(
                _results(passport, part, f"map-{at}", counted="layers" in data)
                for at, part in enumerate(parts)
            ),
            manifest(_facts(passport, data), data.get("request")),
        ),
    )


def _parts(passport: Passport, layers: dict[LayerShape, int], *, whole: bool) -> tuple[_Part, ...]:
    """All `layers` if the `whole` model was asked for, else those that were measured together.

    Layers of few filters are in tiles of every width; alone they make no part.
    """
    parts = []
    for chosen in slices(passport, [shape.place for shape in layers]):
        found = CrossoverMap(passport, chosen)
        for batch in found.batches(shape.place for shape in layers):
            there = {shape: n for shape, n in layers.items() if batch in found.batches([shape.place])}
            parts.append(_Part(chosen, View(found, layers if whole else there, batch)))
    sets = [(part.view.batch, part.view.layers.keys()) for part in parts]
    return tuple(
        part
        for part in parts
        if not any(part.view.batch == batch and part.view.layers.keys() < shapes for batch, shapes in sets)
    )


def _tiles(chosen: Slice) -> str:
    return f"tile {chosen.tile}, {chosen.dtype}"


def _verdicts(parts: Sequence[_Part]) -> list[Html]:
    if not parts:
        return [element("p", "Not measured: there is no time of any layer.", class_="verdict not-measured")]
    told = []
    for part in parts:
        answer = device_findings.answer(part.view)
        told.append(answer_box(answer, lead=f"{formats.capital(_tiles(part.chosen))}. "))
    return told


def _results(passport: Passport, part: _Part, identity: str, *, counted: bool) -> Html:
    view = part.view
    return element(
        "section",
        element("h2", formats.capital(part.title)),
        figure(identity, crossover_map(device_findings.lines(view), view.ratios), device_words.MAP_ALT),
        table(_lines(view), "Time of the best dense / time of the sparse layer, with its 95 % interval"),
        table(device_findings.break_even_lines(view), "Break-even"),
        card(
            ("Shows", device_words.MAP_NOTE),
            ("Speed", report_words.SPEEDS),
            ("Time", report_words.timed_in(_rounds(view), passport.name, part.chosen.dtype)),
            ("Dense", report_words.DENSE_LAYER),
            ("Break-even", report_words.BREAK_EVEN),
            (
                "Layers",
                f"{device_words.LAYER_NAMES} "
                f"{report_words.COUNTED if counted else report_words.COUNTED_ONCE}",
            ),
            ("Tile", HELP["tile"]),
        ),
    )


def _spots(view: View) -> list[tuple[str, float, Spot]]:
    """Every measured (layer, ratio, spot)."""
    return [
        (line.label, ratio, spot)
        for line in device_findings.lines(view)
        for ratio, spot in zip(view.ratios, line.spots, strict=True)
        if spot.row is not None
    ]


def _rounds(view: View) -> int:
    return max((spot.row.row.samples for *_, spot in _spots(view) if spot.row), default=0)


def _lines(view: View) -> list[dict[str, str]]:
    return [
        {"Layer": line.label}
        | {
            formats.ratio_percent(ratio): _cell(spot)
            for ratio, spot in zip(view.ratios, line.spots, strict=True)
        }
        for line in device_findings.lines(view)
    ]


def _cell(spot: Spot) -> str:
    row = spot.row.row if spot.row else None
    if row is None or row.speedup is None or row.interval is None:
        return spot.state + (f": {row.note}" if row and row.note else "")
    noisy = ", noisy" if row.noisy else ""
    bounds = formats.interval(row.interval, formats.times)
    return f"{SIGNS[spot.state]} {formats.times(row.speedup)} ({bounds}{noisy})"


def _grid(parts: Sequence[_Part]) -> Grid:
    points: Points = {
        (label, _tiles(part.chosen), _removed(ratio), str(part.view.batch)): _point(part.view, spot)
        for part in parts
        for label, ratio, spot in _spots(part.view)
    }
    ratios = sorted({ratio for part in parts for ratio in part.view.ratios})
    axes = (
        Axis("layer", tuple(dict.fromkeys(label for label, *_ in points)), slider=False),
        Axis("tiles", tuple(dict.fromkeys(_tiles(part.chosen) for part in parts)), slider=False),
        Axis("ratio", tuple(map(_removed, ratios))),
        Axis("batch", tuple(str(batch) for batch in sorted({part.view.batch for part in parts}))),
    )
    return Grid(axes, ("speed", "time", "work"), points)


def _removed(ratio: float) -> str:
    return f"{formats.ratio_percent(ratio)} removed"


def _point(view: View, spot: Spot) -> tuple[Figure, Figure, Figure]:
    assert spot.row is not None
    row = spot.row.row
    work = (formats.percent(row.density, 0), "of the multiply-adds left")
    if row.speedup is None or row.interval is None or row.median_ms is None:
        return (NOT_MEASURED, f"{spot.state}: {row.note}"), (NOT_MEASURED, ""), work
    words = f"95 % interval {formats.interval(row.interval, formats.times)}; {spot.state}"
    dense = view.found.dense_ms(spot.row.shape.place, row.batch)
    beside = (
        f"{row.engine}; best dense, in its best session, {formats.milliseconds(dense)}"
        if dense
        else row.engine
    )
    rate = f"{work[1]}, at {formats.percent(row.density * row.speedup, 0)} of the dense rate"
    return (
        (formats.times(row.speedup), words),
        (formats.milliseconds(row.median_ms), beside),
        (work[0], rate),
    )


def _facts(passport: Passport, data: dict[str, Any]) -> list[Fact]:
    first, last = passport.dates
    rates = (f"{rate.name} {formats.rate(rate.value, rate.unit)}" for rate in passport.rates)
    return [
        ("Device", f"{passport.name}, measured as {passport.device}"),
        ("Measured", f"{len(passport.rows)} times, {formats.moment(first)} to {formats.moment(last)}"),
        ("At commits", ", ".join(passport.commits)),
        ("Measured rates", ", ".join(rates)),
        *conditions(passport.environment),
        ("Seed", "0 for random weights, masks, images and the order in every round"),
        ("Passport", fingerprint(data)),
    ]
