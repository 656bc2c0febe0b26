"""The kinds of results that have a report. One line a kind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from app.html_report import comparison, device, sensitivity
from app.html_report.document import Document
from bcbp.errors import SpecError

Json = dict[str, Any]


@dataclass(frozen=True)
class ReportKind:
    """`title` with its article; whether JSON is of the kind; what is to be said of it."""

    title: str
    knows: Callable[[Json], bool]
    document: Callable[[Json], Document]


REPORTS: dict[str, ReportKind] = {
    "compare": ReportKind("a comparison or fine-tuning", comparison.knows, comparison.document),
    "device": ReportKind("a device measurement or passport", device.knows, device.document),
    "sensitivity": ReportKind("a sensitivity scan", sensitivity.knows, sensitivity.document),
}
KNOWN = ", ".join(kind.title for kind in REPORTS.values())


def kind_of(data: object, source: str = "this") -> ReportKind:
    """Raises SpecError for JSON that is of none; `source` is what it came from."""
    found = next((kind for kind in REPORTS.values() if isinstance(data, dict) and kind.knows(data)), None)
    if found is None:
        raise SpecError(f"Expected the results of {KNOWN}; {source} is none of them.")
    return found
