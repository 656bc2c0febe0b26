"""A comparison, fine-tuning among them: `bcbp.report`."""

from __future__ import annotations

from typing import Any

from app.html_report import sections
from app.html_report.comparison_replay import grid
from app.html_report.document import Document
from app.html_report.manifest import comparison_facts, manifest
from app.html_report.replay import replay
from app.html_report.subject import Subject
from bcbp.report import SCHEMA


def knows(data: dict[str, Any]) -> bool:
    return data.get("schema") == SCHEMA and {"rows", "latency", "model", "request"} <= data.keys()


def document(data: dict[str, Any]) -> Document:
    """Finished or not, of whatever version of schema 1."""
    subject = Subject(data)
    return Document(
        subject.title,
        subject.heading,
        (
            sections.verdicts(subject),
            replay(subject.recorded, grid(subject)),
            *(sections.of_batch(subject, batch) for batch in subject.batches),
            sections.at_equal_accuracy(subject),
            sections.ladder(subject),
            sections.curves(subject),
            sections.layers(subject),
            manifest(comparison_facts(subject), subject.request),
        ),
    )
