"""What a kind of results has to say; `page` makes the file of it."""

from __future__ import annotations

from dataclasses import dataclass

from app.html_report.html import Html


@dataclass(frozen=True)
class Document:
    """`recorded` says on what and when; the `sections` come in the order of the page, empty ones as "".

    One of them may be a replay.
    """

    title: str
    recorded: str
    sections: tuple[Html, ...]
