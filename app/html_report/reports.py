"""From the JSON of results to the bytes of a file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from app.html_report import several
from app.html_report.document import Document
from app.html_report.kinds import REPORTS, kind_of
from app.html_report.rendering import render
from app.side_by_side import Run
from bcbp.errors import SpecError

_DAMAGE = (KeyError, TypeError, ValueError, AttributeError, IndexError, ZeroDivisionError)


def page(data: Any, source: str = "this") -> bytes:
    """The report of results of any kind out of REPORTS, finished or not; `source` is what they came from.

    Raises SpecError for JSON that is of none, or damaged.
    """
    kind = kind_of(data, source)
    return _whole(lambda: kind.document(data), kind.title)


def page_of_several(runs: Sequence[Run]) -> bytes:
    """The report of several comparisons beside one another, each (what it is called, its report).

    Raises SpecError where there are not two, or one is none.
    """
    kind = REPORTS["compare"]
    for name, data in runs:
        if not isinstance(data, dict) or not kind.knows(data):
            raise SpecError(f"Expected comparisons, to set them side by side; {name} is none.")
    if len(runs) < 2 or len({name for name, _ in runs}) < len(runs):
        raise SpecError("Expected two comparisons or more, each once; name other runs.")
    return _whole(lambda: several.document(runs), kind.title)


def _whole(make: Callable[[], Document], title: str) -> bytes:
    try:
        return render(make())
    except _DAMAGE as error:
        raise SpecError(
            f"Expected the whole results of {title}; these are damaged "
            f"({type(error).__name__}: {error}). Measure again."
        ) from error
