"""The measurements that ship with the product, as points of one method; never mixed with live ones."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from bcbp.data import ASSETS
from bcbp.spec import DENSE

_COMPARISON = ASSETS / "recorded" / "compare-sample.json"


@dataclass(frozen=True)
class Measured:
    """One method at one ratio: `speedup` over the best dense and accuracy with their 95 % intervals.

    `size` is the share of the learned values that is left.
    """

    ratio: float
    speedup: float
    speedup_interval: tuple[float, float]
    accuracy: float
    accuracy_interval: tuple[float, float]
    size: float


@dataclass(frozen=True)
class Recording:
    """The points by rising ratio, the first of them dense, and the conditions they were measured under."""

    points: tuple[Measured, ...]
    batch: str
    environment: dict[str, Any]
    dataset: str
    images: int
    tile: int


@cache
def comparison(path: Path = _COMPARISON) -> dict[str, Any]:
    """The report of the comparison that ships, of the bundled sample."""
    report: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return report


@cache
def sample_recording(method: str = "bcbp", path: Path = _COMPARISON) -> Recording:
    """What was measured of a method on the bundled sample, at the first batch size."""
    report = comparison(path)
    batch = next(iter(report["latency"]))
    rows = [row for row in report["rows"] if row["method"] in (DENSE, method)]
    values = next(row["parameters"] for row in rows if row["method"] == DENSE)
    points = sorted((_point(row, batch, values) for row in rows), key=lambda point: point.ratio)
    return Recording(
        tuple(points),
        batch,
        report["environment"],
        report["model"]["dataset"],
        rows[0]["accuracy"]["total"],
        report["request"]["spec"]["tile"],
    )


def _point(row: dict[str, Any], batch: str, values: int) -> Measured:
    speed, tested = row["speedup"][batch], row["accuracy"]
    return Measured(
        row["asked_ratio"],
        speed["value"],
        tuple(speed["interval"]),
        tested["correct"] / tested["total"],
        tuple(tested["interval"]),
        row["parameters"] / values,
    )
