"""One HTML file: opens from disk, asks the network for nothing, prints well."""

from __future__ import annotations

import base64
import gzip
from functools import cache
from pathlib import Path

from plotly.offline import get_plotlyjs

from app.html_report.document import Document
from app.html_report.html import Html, element, join

_FOLDER = Path(__file__).parent
# The browser itself is to refuse whatever would leave the file.
_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; "
    "base-uri 'none'; form-action 'none'"
)


def render(document: Document) -> bytes:
    """The same bytes for the same content."""
    text = f"<!doctype html>\n{element('html', _head(document), _body(document), lang='en')}\n"
    return text.encode("utf-8", "replace")  # JSON may carry halves of characters, which are none


def _head(document: Document) -> Html:
    return element(
        "head",
        Html('<meta charset="utf-8">'),
        Html(f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'),
        Html('<meta name="viewport" content="width=device-width, initial-scale=1">'),
        Html('<meta name="color-scheme" content="light dark">'),
        element("title", f"BCBP: {document.title}"),
        element("style", Html(_read("page.css"))),
    )


def _body(document: Document) -> Html:
    return element(
        "body",
        element(
            "main",
            element("h1", document.title),
            element("p", document.recorded, class_="recorded"),
            *document.sections,
        ),
        _scripts(),
    )


def _scripts() -> Html:
    """Plotly once, whatever the number of figures, then what draws them."""
    packed = element("script", Html(_plotly()), type="text/plain", id="plotly")
    return join(packed, element("script", Html(_read("page.js"))))


@cache
def _plotly() -> str:
    """The library, gzipped as base64: a third of its size. Every browser since 2023 unpacks it."""
    return base64.b64encode(gzip.compress(get_plotlyjs().encode(), mtime=0)).decode()


def _read(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")
