"""`python -m bcbp report`: a comparison as one HTML file.

It stands here and not beside the other commands since it draws, and the library does not know the dashboard.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from bcbp.cli.command import Command, check_json
from bcbp.errors import SpecError
from bcbp.files import replace_file
from bcbp.jobs import RunStore
from bcbp.report import SCHEMA
from bcbp.request import CompareRequest


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("report", metavar="RUN", help="id of a stored run, or a file of compare --json")
    parser.add_argument("--out", type=Path, metavar="FILE", help="(bcbp-report-RUN.html)")


def _run(chosen: argparse.Namespace) -> int:
    from app.html_report import page  # plotly: no other command needs it

    path = chosen.out or Path(f"bcbp-report-{Path(chosen.report).stem}.html")
    check_json(path, "--out")
    made = page(read_report(chosen.report))
    replace_file(path, made)
    print(f"{path} ({len(made) / 1e6:.1f} MB)")
    return 0


def read_report(run: str) -> dict[str, Any]:
    """The report of a stored run, or in a file. Raises RunNotFound, SpecError."""
    path = Path(run)
    found = _in_file(path) if path.is_file() else _in_store(run)
    if not isinstance(found, dict) or found.get("schema") != SCHEMA or "rows" not in found:
        raise SpecError(f"Expected the report of a comparison of schema {SCHEMA}; {run} has none.")
    return found


def _in_file(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise SpecError(f"Expected a report (JSON) in {path}; it cannot be read: {error}") from error


def _in_store(run_id: str) -> dict[str, Any] | None:
    view = RunStore().read(run_id)
    if not isinstance(view.request, CompareRequest):
        raise SpecError(f"Expected the id of a comparison; {run_id} is: {view.title}.")
    return view.report


COMMAND = Command(
    name="report",
    summary="Write a comparison as one HTML file that opens from disk: verdict, figures, method, replay.",
    example="python -m bcbp report out.json --out out.html",
    add_arguments=_add_arguments,
    run=_run,
)
