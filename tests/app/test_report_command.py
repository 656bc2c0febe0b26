"""`python -m bcbp report`: from runs and files to a file; what has no report is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from app import report_command
from app.html_report import page
from app.html_report.kinds import REPORTS
from bcbp.cli import main
from bcbp.export_request import ExportRequest
from bcbp.jobs.kinds import KINDS
from tests.app.html_reports import (
    ROOT,
    SEVERAL,
    device,
    one_ratio,
    sensitivity,
    several_ratios,
)
from tests.app.stored_runs import store_run


@pytest.fixture
def made() -> dict[str, Any]:
    return several_ratios()


def test_the_command_makes_the_same_file_from_a_run_and_from_its_json(
    home: Path, tmp_path: Path, made: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    run = store_run(home, request=SEVERAL, made=made)
    (tmp_path / "out.json").write_text(json.dumps(made))
    for source in (run, str(tmp_path / "out.json")):
        target = tmp_path / f"{len(source)}.html"
        assert main(["report", source, "--out", str(target)], more=(report_command.COMMAND,)) == 0
        assert target.read_bytes() == page(made) and str(target) in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "cannot be read"),
        ("[" * 100_000, "cannot be read"),
        ("[]", "none of them"),
        ('{"schema": 2, "rows": []}', "none of them"),
        ('{"schema": 1, "kind": "layers", "rows": []}', "none of them"),
        ('{"schema": 1, "rows": [5], "latency": {}, "model": {}, "request": {}}', "damaged"),
        ('{"schema": 1, "rows": [], "latency": {}, "model": {}, "request": {}}', "damaged"),
        ('{"schema": 1, "rows": [], "correct": 1, "key": {}}', "damaged"),
        ('{"schema": 1, "rows": [], "kind": "bcbp-device-passport"}', "damaged"),
    ],
)
def test_a_file_that_is_no_report_is_refused_in_one_line(
    tmp_path: Path, content: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "odd.json").write_text(content)
    command = ["report", str(tmp_path / "odd.json"), "--out", str(tmp_path / "odd.html")]
    assert main(command, more=(report_command.COMMAND,)) == 2
    message = capsys.readouterr().err
    assert message.startswith("error: Expected") and words in message and message.count("\n") == 1
    assert not (tmp_path / "odd.html").exists()


def test_a_run_without_a_report_is_refused(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for run, words in (
        (store_run(home, "queued"), "has measured something"),
        (store_run(home, request=ExportRequest(), made={"forms": []}), "none of them"),
    ):
        assert main(["report", run], more=(report_command.COMMAND,)) == 2
        assert words in capsys.readouterr().err


@pytest.mark.parametrize("kind", REPORTS)
def test_every_kind_of_report_is_made_of_the_runs_of_one_kind_of_job(
    kind: str, home: Path, tmp_path: Path
) -> None:
    builds = {"compare": one_ratio, "device": device, "sensitivity": sensitivity}
    made = builds[kind]()
    run = store_run(home, request=KINDS[kind].request(), made=made)
    target = tmp_path / "out.html"
    assert main(["report", run, "--out", str(target)], more=(report_command.COMMAND,)) == 0
    assert target.read_bytes() == page(made)


def test_an_unknown_run_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "20261125-101010-abcdef"], more=(report_command.COMMAND,)) == 2
    assert "Expected the id of a stored run" in capsys.readouterr().err


def test_python_m_bcbp_knows_the_command() -> None:
    command = [sys.executable, "-m", "bcbp", "report", "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert report_command.COMMAND.example in done.stdout
