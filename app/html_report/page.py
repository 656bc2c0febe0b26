"""One HTML file of a whole comparison: opens from disk, asks the network for nothing, prints well."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from plotly.offline import get_plotlyjs

from app.html_report import sections
from app.html_report.html import Html, element, join
from app.html_report.manifest import manifest
from app.html_report.replay import replay
from app.html_report.subject import Subject
from bcbp.errors import SpecError

_FOLDER = Path(__file__).parent
# The browser itself is to refuse whatever would leave the file.
_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; "
    "base-uri 'none'; form-action 'none'"
)


def page(report: Mapping[str, Any]) -> bytes:
    """The report of a comparison (`bcbp.report`), finished or not; the same bytes for the same content.

    Raises SpecError for JSON that is no such report.
    """
    try:
        subject = Subject(report)
        text = f"<!doctype html>\n{element('html', _head(subject), _body(subject), lang='en')}\n"
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, ZeroDivisionError) as error:
        raise SpecError(
            "Expected the whole report of a comparison; this one is damaged "
            f"({type(error).__name__}: {error}). Run the comparison again."
        ) from error
    return text.encode("utf-8", "replace")  # JSON may carry halves of characters, which are none


def _head(subject: Subject) -> Html:
    return element(
        "head",
        Html('<meta charset="utf-8">'),
        Html(f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'),
        Html('<meta name="viewport" content="width=device-width, initial-scale=1">'),
        Html('<meta name="color-scheme" content="light dark">'),
        element("title", f"BCBP: {subject.title}"),
        element("style", Html(_read("page.css"))),
    )


def _body(subject: Subject) -> Html:
    unfinished = "" if subject.report["finished"] else " Not finished: what is missing was not reached."
    return element(
        "body",
        element(
            "main",
            element("h1", subject.title),
            element("p", f"{subject.recorded}; {subject.timed_on}.{unfinished}", class_="recorded"),
            sections.verdicts(subject),
            replay(subject),
            *(sections.of_batch(subject, batch) for batch in subject.batches),
            sections.at_equal_accuracy(subject),
            sections.ladder(subject),
            sections.curves(subject),
            sections.layers(subject),
            manifest(subject),
        ),
        _scripts(),
    )


def _scripts() -> Html:
    """Plotly once, whatever the number of figures, then what draws them."""
    return join(element("script", Html(get_plotlyjs())), element("script", Html(_read("page.js"))))


def _read(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")
