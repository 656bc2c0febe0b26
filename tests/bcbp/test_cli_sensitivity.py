"""`sensitivity` prints and writes what it measured, and `plan` goes by it and by layer times."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from bcbp import scanning
from bcbp.cli import main
from bcbp.cli.sensitivity import scan_text
from bcbp.crossover import WINS
from bcbp.intake.architectures import load_model
from bcbp.passport_store import PassportStore
from bcbp.sensitivity import Scan, ScanStore
from kernels.device import environment
from tests.bcbp.measurements import scan_of
from tests.bcbp.passports import model_passport
from tests.bcbp.small import small_images, small_model

Capture = pytest.CaptureFixture[str]


def test_a_scan_is_printed_and_written(
    capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scanning, "load_model", lambda _name: small_model())
    monkeypatch.setattr(scanning, "load_images", small_images)
    path = tmp_path / "scan.json"
    arguments = ["sensitivity", "--tile", "8", "--ratio", "0.5", "--images", "20", "--json", str(path)]
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    assert "on 20 validation images" in printed and "stages.0.0.conv1" in printed
    scan = Scan.from_json(json.loads(path.read_text()))
    assert len(scan.rows) == len(small_model().layers)
    assert printed.strip() == scan_text(scan, [0.5])


def test_what_was_not_measured_is_said_in_the_table() -> None:
    scan = scan_of(small_model(), reasons={"fc": "its tile does not fit"})
    printed = scan_text(replace(scan, rows=scan.rows[1:]), [0.25, 0.5])
    assert "not measured yet" in printed
    assert "not measured: its tile does not fit" in printed


def test_a_plan_under_a_budget_names_its_estimate_its_reasons_and_its_price(
    capsys: Capture, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    PassportStore(home).write_live(replace(model_passport({0.5: WINS}), environment=environment()))
    ScanStore(home).write(scan_of(load_model("sample")))
    assert main(["plan", "--allocation", "latency", "--budget-ms", "17"]) == 0
    printed = capsys.readouterr().out
    assert "of 20 ms dense at batch 1 on" in printed and "budget 17 ms" in printed
    assert "50% removed saves 0.907 ms of 2 ms" in printed
    assert "note: Losses are those of a sensitivity scan" in printed


def test_a_budget_without_times_is_refused_in_one_line(capsys: Capture) -> None:
    assert main(["plan", "--allocation", "latency", "--budget-ms", "1"]) == 2
    assert "python -m bcbp device --measure" in capsys.readouterr().err
