"""Several runs in one table, each against its own dense, and what makes them hard to compare. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from app import compare_words, findings
from app.result_lines import Line, result_lines
from app.titles import METHOD_TITLES
from bcbp.runtime import CPU, GPU

Run = tuple[str, Mapping[str, Any]]  # what it is called, and its report


def shared_batches(runs: Sequence[Run]) -> tuple[str, ...]:
    """Batch sizes at which every run has times, ascending."""
    every = [findings.batches(report) for _, report in runs]
    return tuple(batch for batch in every[0] if all(batch in one for one in every)) if every else ()


def side_by_side(runs: Sequence[Run], batch: str | None) -> list[Line]:
    """The lines of every run after one another; differences are against the dense of the same run."""
    return [
        {"Run": title} | line
        for title, report in runs
        for line in result_lines(findings.findings(report, batch=batch, titles=METHOD_TITLES))
    ]


def differences(runs: Sequence[Run]) -> list[str]:
    """A sentence for each condition in which the runs differ."""
    conditions = [_conditions(report) for _, report in runs]
    found = []
    for name in conditions[0]:
        values = [str(one[name]) for one in conditions]
        if len(set(values)) > 1:
            found.append(compare_words.differs(name, list(dict.fromkeys(values))))
    return found


def _conditions(report: Mapping[str, Any]) -> dict[str, object]:
    request, where, model = report["request"], report["environment"], report["model"]
    device = request.get("device", CPU)
    tested = [row["accuracy"]["total"] for row in report["rows"] if row.get("accuracy")]
    return {
        "model": f"{model['title']} ({model['digest'][:7]})",
        "test images": max(tested, default=0),
        "images": _images(model),
        "device": where.get("gpu" if device == GPU else "cpu"),
        "precision": request.get("precision", "fp32"),
        "threads": where.get("threads"),
        "torch": (where.get("versions") or {}).get("torch"),
    }


def _images(model: Mapping[str, Any]) -> str:
    """Which images, and how they are prepared; reports of old do not say how."""
    prepared = model.get("preprocessing") or {}
    return "; ".join(filter(None, (model.get("dataset"), prepared.get("words")))) or "none"
