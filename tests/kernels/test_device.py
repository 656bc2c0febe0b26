from __future__ import annotations

import json
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from kernels import device


def test_the_record_is_json_and_names_what_a_reader_needs():
    record = json.loads(json.dumps(device.environment()))
    assert record["threads"] == torch.get_num_threads()
    assert record["versions"]["torch"] == torch.__version__
    assert record["cpu"] and record["os"] and record["python"]
    assert datetime.fromisoformat(record["date"]).tzinfo is not None


def test_the_clock_is_what_the_system_tells_of_it(tmp_path: Path) -> None:
    assert device.cpu_clock(tmp_path) == {}
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/cpuinfo").write_text("model name : A\ncpu MHz\t\t: 2596.150\ncpu MHz : 1.0\n")
    assert device.cpu_clock(tmp_path) == {"mhz": 2596}
    folder = tmp_path / "sys/devices/system/cpu/cpu0/cpufreq"
    folder.mkdir(parents=True)
    for name, text in (("scaling_cur_freq", "1800000\n"), ("cpuinfo_max_freq", "3500000\n")):
        (folder / name).write_text(text)
    (folder / "scaling_governor").write_text("powersave\n")
    assert device.cpu_clock(tmp_path) == {"mhz": 1800, "most_mhz": 3500, "governor": "powersave"}


@pytest.mark.parametrize(("told", "commit"), [(None, None), ("", None), ("f61f863", "f61f863")])
def test_where_there_is_no_checkout_the_commit_is_told(
    told: str | None, commit: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("BCBP_COMMIT", raising=False)
    if told is not None:
        monkeypatch.setenv("BCBP_COMMIT", told)
    assert device.product_commit(tmp_path) == commit


def test_the_commit_says_whether_tracked_files_were_changed(tmp_path: Path):
    def git(*words: str) -> None:
        identity = ("-c", "user.name=t", "-c", "user.email=t@example.org")
        subprocess.run(["git", "-C", str(tmp_path), *identity, *words], check=True, capture_output=True)

    git("init")
    (tmp_path / "a").write_text("1")
    git("add", "a")
    git("commit", "-m", "first")
    clean = device.product_commit(tmp_path)
    (tmp_path / "a").write_text("2")
    assert clean is not None and len(clean) == 40
    assert device.product_commit(tmp_path) == f"{clean}+changes"


def test_a_damaged_checkout_is_no_error_and_not_what_was_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("BCBP_COMMIT", "f61f863")
    (tmp_path / ".git").write_text("nothing")
    assert device.product_commit(tmp_path) is None


def test_writing_the_record_imports_no_optional_library():
    lines = (
        "import sys, kernels.device as d",
        "d.environment()",
        "print({'llvmlite', 'triton'} & set(sys.modules))",
    )
    command = [sys.executable, "-c", "\n".join(lines)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=device.ROOT)
    assert done.stdout.strip() == "set()", done.stderr


def test_the_state_of_the_gpu_is_what_its_own_tool_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the GPU that torch uses, whichever number the tool gives it."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.current_device", lambda: 1)
    properties = {1: SimpleNamespace(uuid="5a-1")}
    monkeypatch.setattr("torch.cuda.get_device_properties", properties.get)
    asked: list[tuple[str, ...]] = []

    def answers(*command: str) -> str:
        asked.append(command)
        return "580.65, 1980 MHz, 3201 MHz, 512 W, 61"

    monkeypatch.setattr(device, "_output_of", answers)
    assert device.gpu_state() == {
        "driver_version": "580.65",
        "clocks.sm": "1980 MHz",
        "clocks.mem": "3201 MHz",
        "power.draw": "512 W",
        "temperature.gpu": "61",
    }
    assert asked[0][-1] == "--id=GPU-5a-1"

    def missing(*command: str) -> str:
        raise FileNotFoundError(command[0])

    monkeypatch.setattr(device, "_output_of", missing)
    assert device.gpu_state() is None
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert device.gpu_state() is None
