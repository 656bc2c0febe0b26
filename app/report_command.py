"""`python -m bcbp report`: results as one HTML file, several comparisons beside one another.

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

SEVERAL = "side-by-side"


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "runs",
        nargs="+",
        metavar="RUN",
        help="id of a stored run (comparison, fine-tuning, device measurement, sensitivity scan), a JSON "
        "file of one, or a device passport; several comparisons stand side by side",
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="(bcbp-report-RUN.html)")


def _run(chosen: argparse.Namespace) -> int:
    from app.html_report import page, page_of_several  # plotly: no other command needs it
    from app.side_by_side import called

    named = Path(chosen.runs[0]).stem if len(chosen.runs) == 1 else SEVERAL
    path = chosen.out or Path(f"bcbp-report-{named}.html")
    check_json(path, "--out")
    names, found = zip(*map(read_results, chosen.runs), strict=True)
    if len(found) == 1:
        made = page(found[0], chosen.runs[0])
    else:
        made = page_of_several(list(zip(called(names, chosen.runs), found, strict=True)))
    replace_file(path, made)
    print(f"{path} ({len(made) / 1e6:.1f} MB)")
    return 0


def read_results(run: str) -> tuple[str, Any]:
    """What a stored run, or a file, is called, and its results. Raises RunNotFound, SpecError."""
    path = Path(run)
    if path.is_file():
        return path.stem, _in_file(path)
    view = RunStore().read(run)
    if view.report is None:
        raise SpecError(f"Expected a run that has measured something; {run} ({view.title}) has not.")
    return view.name or run, view.report


def _in_file(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise SpecError(f"Expected results (JSON) in {path}; it cannot be read: {error}") from error


COMMAND = Command(
    name="report",
    summary=(
        "Write results as one HTML file that opens from disk: verdict, figures, method, replay; of several "
        "comparisons, one beside the other."
    ),
    example="python -m bcbp report out.json --out out.html",
    add_arguments=_add_arguments,
    run=_run,
)
