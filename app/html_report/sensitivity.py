"""A sensitivity scan: what pruning each layer alone costs (`bcbp.sensitivity`)."""

from __future__ import annotations

from typing import Any

from app import sensitivity_findings
from app.html_report.cards import card
from app.html_report.document import Document
from app.html_report.figures import figure
from app.html_report.html import Html, element, table
from app.html_report.manifest import Fact, conditions, fingerprint, manifest
from app.html_report.replay import NOT_MEASURED, Axis, Figure, Grid, Points, replay
from app.html_report.sections import answer_box
from app.titles import METHOD_TITLES
from app.words import device_words, formats, report_words
from app.words.help_texts import HELP
from bcbp.sensitivity import SCHEMA, Scan, Sensitivity
from kernels.device import processor


def knows(data: dict[str, Any]) -> bool:
    return data.get("schema") == SCHEMA and {"key", "correct", "rows"} <= data.keys()


def document(data: dict[str, Any]) -> Document:
    """Raises FieldError."""
    scan = Scan.from_json(data)
    method = METHOD_TITLES.get(scan.key.pattern, scan.key.pattern)
    where = scan.environment
    recorded = device_words.recorded(processor(where), where["date"]) if where else report_words.NO_CONDITIONS
    return Document(
        f"Sensitivity of {scan.model or scan.key.digest[:12]}: {method}, tile {scan.key.tile}",
        f"{recorded}.",
        (
            answer_box(sensitivity_findings.answer(scan)),
            replay(recorded, _grid(scan)),
            _losses(scan),
            manifest(_facts(scan, method, data), None),
        ),
    )


def _losses(scan: Scan) -> Html:
    if not scan.rows:
        return Html("")
    key = scan.key
    return element(
        "section",
        element("h2", report_words.LOSSES),
        figure("losses", sensitivity_findings.loss_map(scan), report_words.LOSSES_ALT),
        table(sensitivity_findings.loss_lines(scan), "Points of accuracy lost, with their 95 % interval"),
        card(
            ("Shows", report_words.LOSSES_NOTE),
            ("How", report_words.measured_by(key.images, key.calibration)),
            ("Interval", report_words.LOSSES_INTERVAL),
            ("Limits", report_words.NOT_ROBUST),
            ("Criterion", HELP["criterion"]),
            ("Tile", HELP["tile"]),
        ),
    )


def _grid(scan: Scan) -> Grid:
    points: Points = {
        (row.layer, _removed(row.ratio)): _point(row, scan.key.images)
        for row in sorted(scan, key=lambda row: row.ratio)
    }
    axes = (
        Axis("layer", sensitivity_findings.layers(scan), slider=False),
        Axis("ratio", tuple(map(_removed, sensitivity_findings.ratios(scan)))),
    )
    return Grid(axes, ("loss", "answers"), points)


def _removed(ratio: float) -> str:
    return f"{formats.ratio_percent(ratio)} removed"


def _point(row: Sensitivity, images: int) -> tuple[Figure, Figure]:
    if row.drop is None or row.interval is None:
        return (NOT_MEASURED, row.reason), (NOT_MEASURED, "")
    bounds = formats.interval(row.interval, formats.lost_points)
    words = f"points of accuracy; 95 % interval {bounds}; {sensitivity_findings.state(row)}"
    return (
        (formats.lost_points(row.drop), words),
        (f"+{row.gained} −{row.lost}", f"gained and lost of {images:,} validation images"),
    )


def _dense(scan: Scan) -> str:
    if scan.accuracy is None:
        return formats.NOT_MEASURED
    return f"{formats.percent(scan.accuracy, 2)} of the validation images"


def _facts(scan: Scan, method: str, data: dict[str, Any]) -> list[Fact]:
    key = scan.key
    return [
        ("Model", scan.model),
        ("Weights", f"SHA-256 {key.digest}"),
        ("Pruned by", f"{method}, criterion {key.criterion}, tile {key.tile}"),
        ("Images", f"{key.images:,} validation images, {key.calibration:,} training images for batch norms"),
        ("Dense accuracy", _dense(scan)),
        ("Seed", key.seed),
        *(conditions(scan.environment) if scan.environment else [("Machine", report_words.NO_CONDITIONS)]),
        ("Scan", fingerprint(data)),
    ]
