"""Which answers pruning changed, as text: how many of each kind in every row, and the usual moves."""

from __future__ import annotations

from bcbp.changes import KINDS, Changes, changes_of
from bcbp.cli.table import table
from bcbp.errors import DataError
from bcbp.predictions import Predictions
from bcbp.report import Json
from bcbp.rows import name_of
from bcbp.spec import DENSE

_MOVES = 3


def changes_text(report: Json, predictions: Predictions) -> str:
    """A line for every tested row; rows that were not tested are left out."""
    lines = []
    for row in report["rows"]:
        if row["method"] == DENSE or row["accuracy"] is None:
            continue
        try:
            lines.append(_line(name_of(report, row), changes_of(predictions, row)))
        except DataError as error:  # ended between two rungs
            lines.append([name_of(report, row), *("" for _ in KINDS), str(error)])
    header = ["method", *KINDS, "most frequent (dense's answer > answer after pruning)"]
    return "\n".join(["Answers changed against dense, in images", table(header, lines)]) if lines else ""


def _line(key: str, changes: Changes) -> list[str]:
    moves = [f"{one.before} > {one.after} {one.count}" for one in changes.moves(_MOVES)]
    return [key, *(str(changes.count(kind)) for kind in KINDS), ", ".join(moves)]
