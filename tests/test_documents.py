"""The documents say what is so: their figures are the recorded ones, their links and commands exist."""

from __future__ import annotations

import copy
import importlib.util
import json
import re
import shutil
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from bcbp.cli import make_parser
from bcbp.study import packed_hits

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md")), ROOT / "assets" / "README.md"]


def tool(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def measured() -> ModuleType:
    return tool("measured")


def test_the_figures_of_the_readme_are_the_recorded_ones(measured: ModuleType) -> None:
    readme = (ROOT / "README.md").read_text()
    assert measured.with_section(readme, measured.readme_section()) == readme


def test_the_measured_page_is_the_recorded_one(measured: ModuleType) -> None:
    assert (ROOT / "docs" / "measured.md").read_text() == measured.measured_document()


def test_another_machines_recording_stands_below_the_first_under_its_own_name(
    measured: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in measured.TABLES:
        shutil.copy(measured.RECORDED / f"{name}.json", tmp_path)
    name = "networks-resnet18"
    other = measured.recording(name)
    other["environment"] |= {"cpu": "Another", "instruction_set": "AVX2", "usable_cores": 4}
    monkeypatch.setattr(measured, "RECORDED", tmp_path)
    assert "### " not in measured.measured_document()
    (tmp_path / f"{name}@another.json").write_text(json.dumps(other))
    page = measured.measured_document()
    assert page.count("### ") == 2 and page.count(measured.networks(other)) == 2
    first = measured.machine(measured.recording(name)["environment"])
    assert page.index(f"### {first}") < page.index("### Another, 4 cores (AVX2)")


def test_the_accuracy_page_is_what_the_studies_found() -> None:
    assert (ROOT / "docs" / "accuracy.md").read_text() == tool("accuracy").document()


def _answers(method: str, right: range, *, ratio: float = 0.5) -> dict[str, Any]:
    """A row of the rung kept, of 1,000 images of which those of a range are answered right."""
    hits = torch.zeros(1000, dtype=torch.bool)
    hits[right.start : right.stop] = True
    named = {"method": method, "tile": 32, "ratio": ratio, "seed": 0, "rung": "none", "kept": True}
    return named | {"correct": len(right), "total": 1000, "hits": packed_hits(hits)}


@pytest.mark.parametrize(
    ("bcbp", "met"),
    [
        (range(900), [True, True, True, True]),
        (range(20, 916), [True, True, True, False]),  # 0.4 points below, and no loss that is clear
        (range(880), [False, False, False, False]),
    ],
)
def test_a_goal_is_met_or_missed_by_the_figures_alone(bcbp: range, met: list[bool]) -> None:
    dense = _answers("dense", range(900), ratio=0.0)
    del dense["kept"]
    rivals = [_answers(name, range(900)) for name in ("filter", "block", "column")]
    rows = [dense, *rivals, _answers("bcbp", bcbp)]
    found = tool("accuracy").goals(rows, {"model": "sample", "tuning": None})
    assert [goal.name for goal in found] == [
        "at most 0.5 below dense",
        "not below filter",
        "not below block V = 32",
        "at most 0.3 below column V = 32",
    ]
    assert [goal.met for goal in found] == met


def test_the_coverage_page_is_what_was_found_and_misses_no_classifier() -> None:
    coverage = tool("coverage")
    held = json.loads(coverage.RECORD.read_text())
    assert coverage.PAGE.read_text() == coverage.document(held)
    assert {row["model"] for row in held["rows"]} >= set(coverage.names())
    off = [row["model"] for row in held["rows"] if "refused" in row or row["off"] > row["allowed"]]
    assert off == []


def test_the_gpu_page_is_what_was_recorded_of_gpus(measured: ModuleType) -> None:
    page = (ROOT / "docs" / "gpu.md").read_text()
    assert measured.with_section(page, measured.gpu_section(), "gpu") == page


def test_recordings_of_a_gpu_become_tables_with_their_conditions(
    measured: ModuleType, tmp_path: Path
) -> None:
    assert measured.gpu_section(tmp_path) == measured.NO_GPU
    rows = measured.recording("layers-resnet18")
    environment = rows["environment"] | {"gpu": "Test GPU", "gpu_state": {"driver_version": "580.1"}}
    ceiling = {"precision": "fp16", "flops": 7.9e14, "bytes": 4.3e12, "cache_bytes": None}
    records = {
        "gpu-ceilings@card-sm90": {"kind": "ceilings", "environment": environment, "rows": [ceiling]},
        "gpu-layers-v64@card-sm90": {"kind": "layers", "environment": environment, "rows": rows["rows"]},
        "gpu-networks-resnet18@card-sm90": measured.recording("networks-resnet18")
        | {"environment": environment},
    }
    for name, record in records.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(record))
    section = measured.gpu_section(tmp_path)
    assert "| fp16 | 790 | 4.30 |  |" in section
    assert section.count("Test GPU, driver 580.1, ") == 3
    assert (
        section.index("### ceilings (card-sm90)")
        < section.index("### layers, v64 (")
        < section.index("### networks")
    )
    assert measured.networks(records["gpu-networks-resnet18@card-sm90"]) in section


def with_limit(report: dict[str, Any], share: float | None) -> dict[str, Any]:
    """The same report, each time so near to its limit; None: of a version that knew none."""
    report = copy.deepcopy(report)
    for times in (entry for row in report["rows"] for entry in row["latency_ms"].values()):
        times.pop("limit_share", None)
        times |= {} if share is None else {"limit_share": share}
    return report


def test_recordings_that_know_their_limit_show_how_far_it_is(measured: ModuleType) -> None:
    record, compared = measured.recording("networks-resnet18"), measured.recording("compare-sample")
    old, new = (
        (record | {"rows": [with_limit(row, share) for row in record["rows"]]}, with_limit(compared, share))
        for share in (None, 0.54)
    )
    assert measured.OF_THE_LIMIT not in measured.networks(old[0]) + measured.comparison(old[1])
    assert measured.networks(new[0]).splitlines()[2].endswith("| 54% |")
    assert measured.comparison(new[1]).splitlines()[2].endswith("| 54% | 54% |")


def balance_session(pattern: str, **more: object) -> dict[str, object]:
    where = {"layer": "3x3 256-256 @14", "batch": 1, "tile": 32, "ratio": 0.5, "pattern": pattern}
    return where | {"wit": 0.0} | more


def test_predicted_and_measured_idle_time_stand_side_by_side(measured: ModuleType) -> None:
    """Balanced tiles at the same launch are 1.25 times as fast: a fifth of the time had been idle."""
    better = {"over_column": 1.25, "over_column_interval": [1.0, 2.0]}
    rows = [
        balance_session("column", wit=1 / 3, waves=0.4),
        balance_session("column-longest", wit=1 / 3, over_column=1.0, over_column_interval=[0.8, 1.25]),
        balance_session("bcbp-as-column", **better),
        balance_session("bcbp", over_column=5.0, over_column_interval=[4.0, 6.0]),
    ]
    line = measured.balance({"rows": rows}).splitlines()[-1]
    assert line == "| 3x3 256-256 @14 | 1 | 32 | 0.5 | 0.4 | 33% | 20% (0% to 50%) | 0% (-25% to 20%) |"
    on_cpu = [balance_session("column", wit=0.25), balance_session("bcbp", **better)]
    header, _, line = measured.balance({"rows": on_cpu}).splitlines()
    assert "waves" not in header and "won back" not in header and line.endswith("| 25% | 20% (0% to 50%) |")


def test_recordings_of_old_and_single_tiles_say_nothing_of_balance(measured: ModuleType) -> None:
    old = measured.recording("layers-resnet18")
    for row in old["rows"]:
        row["over_column"] = None
    assert measured.balance(old) == ""
    single = [balance_session("column"), balance_session("bcbp", over_column=1.0)]
    assert measured.balance({"rows": single}) == ""


def test_layers_say_what_they_wrote(measured: ModuleType) -> None:
    row = measured.recording("layers-resnet18")["rows"][-1] | {"writes": "plain and 3 copies"}
    assert ", writes plain and 3 copies |" in measured.layers({"rows": [row]})


def test_the_comparison_with_the_recording_can_fail(measured: ModuleType) -> None:
    readme = (ROOT / "README.md").read_text()
    assert measured.with_section(readme, "| dense | 100 % |") != readme


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_within_the_repository_lead_somewhere(path: Path) -> None:
    targets = re.findall(r"\]\((?!https?:)([^)#]+)\)", path.read_text())
    assert not [target for target in targets if not (path.parent / target).exists()]


def test_every_recording_is_what_the_command_above_it_asks_for(measured: ModuleType) -> None:
    for name, (_, command, _) in measured.TABLES.items():
        asked, made = make_parser().parse_args(command.split()), measured.recordings(name)
        whole = name.startswith("networks")
        for report in [report for record in made for report in (record["rows"] if whole else [record])]:
            request = report.get("request")
            if request is None:
                continue
            assert request["model"] == asked.model
            assert request["spec"]["tile"] == asked.tile
            assert set(asked.methods) == set(request["methods"])
            assert set(request["batches"]) <= set(asked.batch)
            assert asked.rounds == request["rounds"]
            assert request["spec"]["ratio"] in (
                asked.ratio if isinstance(asked.ratio, tuple) else [asked.ratio]
            )


def test_recorded_layers_are_those_asked_for(measured: ModuleType) -> None:
    asked = make_parser().parse_args(measured.TABLES["layers-resnet18"][1].split())
    for record in measured.recordings("layers-resnet18"):
        rows = record["rows"]
        assert {row["tile"] for row in rows} == {asked.tile}
        assert {row["batch"] for row in rows} == set(asked.batch)
        assert {row["ratio"] for row in rows} == set(asked.ratio)


def test_every_file_that_contributing_names_is_there() -> None:
    named = re.findall(
        r"`((?:tests|bcbp|app|kernels)/[\w/]+(?:\.py|/))`", (ROOT / "CONTRIBUTING.md").read_text()
    )
    assert len(named) > 10
    assert not [path for path in named if not (ROOT / path).exists()]
