"""tools/record_gpu.sh without a GPU: every command it would run, and that each is one the product takes."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from bcbp.cli import make_parser
from bcbp.cli.bench import requests_of
from bcbp.cli.bench_layers import chosen_jobs
from bcbp.cli.device import request_of
from bcbp.devices import DEVICES
from bcbp.planning import make_plan
from bcbp.spec import DENSE, PruneSpec
from tests.bcbp.small import small_model

SCRIPT = Path(__file__).resolve().parent.parent / "tools" / "record_gpu.sh"
# Names its card when asked, and writes down the rest, a line a command.
PYTHON = """#!/bin/sh
[ "$1" != -c ] || { echo nvidia-test-sm90; exit; }
shift 2
echo "$*" >> "$(dirname "$0")/commands"
"""


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The script in a tree of its own, with an interpreter that only takes notes."""
    (folder / "tools").mkdir(exist_ok=True)
    (folder / "assets" / "recorded").mkdir(parents=True, exist_ok=True)
    shutil.copy(SCRIPT, folder / "tools")
    fake = folder / "python"
    fake.write_text(PYTHON)
    fake.chmod(0o755)
    command = ["sh", str(folder / "tools" / SCRIPT.name), *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, env={"PATH": "/usr/bin:/bin", "PYTHON": str(fake)}
    )


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> list[list[str]]:
    folder = tmp_path_factory.mktemp("record")
    done = run(folder, "600")
    assert done.returncode == 0, done.stderr
    return [line.split() for line in (folder / "commands").read_text().splitlines()]


def test_it_measures_everything_that_is_recorded_of_a_card(commands: list[list[str]]) -> None:
    kinds = [" ".join(command[:2]) for command in commands]
    assert {kind: kinds.count(kind) for kind in kinds} == {
        "bench ceilings": 1,
        "bench networks": 4,
        "bench layers": 5,
        "device --measure": 4,
        "tune --model": 1,
    }


def test_every_command_is_one_the_product_takes(commands: list[list[str]]) -> None:
    """Parsed, and asked for: networks, layers, methods and precisions exist."""
    patterns = pytest.importorskip("kernels.gpu.bench", reason="triton is not installed").GpuBench.patterns
    for command in commands:
        chosen = make_parser().parse_args(command)
        if command[0] == "bench":
            assert requests_of(chosen) and chosen.device == "cuda" and chosen.limit_seconds > 0
        if command[:2] == ["bench", "layers"]:
            assert chosen_jobs(chosen) and set(chosen.methods) - {DENSE} <= set(patterns)
        elif command[0] == "device":
            assert request_of(chosen).device in DEVICES
        elif command[0] == "tune":
            make_plan(small_model(), PruneSpec(ratio=chosen.ratio[0], tile=chosen.tile))


def test_recordings_carry_the_name_of_their_card(commands: list[list[str]]) -> None:
    written = [Path(command[command.index("--json") + 1]) for command in commands if "tune" not in command]
    assert all("nvidia-test-sm90" in path.stem and path.parent == Path("assets/recorded") for path in written)
    benchmarks = [path for path in written if path.name.startswith("gpu-")]
    assert len(benchmarks) == len(set(benchmarks)) == 10
    assert all(path.name.startswith(("gpu-", "passport-")) for path in written)


def test_ceilings_that_are_there_are_not_measured_again(tmp_path: Path) -> None:
    run(tmp_path, "600")
    (tmp_path / "assets" / "recorded" / "gpu-ceilings@nvidia-test-sm90.json").write_text("{}")
    (tmp_path / "commands").unlink()
    run(tmp_path, "600")
    assert "bench ceilings" not in (tmp_path / "commands").read_text()


def test_when_time_is_up_it_ends_well_and_says_how_to_go_on(tmp_path: Path) -> None:
    done = run(tmp_path, "0")
    assert done.returncode == 0 and not (tmp_path / "commands").exists()
    assert done.stdout == "time is up before ceilings; run this again to go on\n"


def test_a_command_that_fails_ends_it(tmp_path: Path) -> None:
    run(tmp_path, "0")
    (tmp_path / "python").write_text(PYTHON + "exit 3\n")
    done = subprocess.run(
        ["sh", str(tmp_path / "tools" / SCRIPT.name), "600"],
        capture_output=True,
        env={"PATH": "/usr/bin:/bin", "PYTHON": str(tmp_path / "python")},
    )
    assert done.returncode == 3
    assert len((tmp_path / "commands").read_text().splitlines()) == 1
