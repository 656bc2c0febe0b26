"""The GPU engine of the table: what it declines, and that it does so without Triton."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from kernels.gpu import engine
from kernels.gpu.engine import ENGINE, interpreted, missing_reason
from tests.kernels.cases import CASES, make

ROOT = Path(__file__).resolve().parents[3]
# Triton kernels and the functions they call, and what launches them, directly or not.
OF_TRITON = {"ceiling", "copies", "depthwise", "device_code", "gemm", "pooling", "stream", "transpose"}
ABOVE_THEM = {"bench", "buffers", "choice", "operators", "program", "recipe", "tuning"}
WITHOUT_TRITON = """
import sys
from importlib import import_module
from pathlib import Path
sys.modules["triton"] = None
from kernels.engines import ENGINE_NAMES, decline_reason, engine
from tests.kernels.cases import CASES, make
failed = set()
for path in Path("kernels/gpu").glob("[a-z]*.py"):
    try:
        import_module(f"kernels.gpu.{path.stem}")
    except ModuleNotFoundError as error:
        assert error.name.split(".")[0] == "triton", error
        failed.add(path.stem)
packed = make(CASES["1x1"])[0]
print(sorted(failed))
print(decline_reason("triton", packed))
print([name for name in ENGINE_NAMES if engine(name).name != name], "triton" in sys.modules)
"""


def test_without_triton_everything_else_works_and_the_table_says_why() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TRITON], capture_output=True, text=True, cwd=ROOT, timeout=120
    )
    assert done.returncode == 0, done.stderr
    failed, reason, table = done.stdout.splitlines()
    assert failed == str(sorted(OF_TRITON | ABOVE_THEM))
    assert reason == "triton is not installed (it needs Linux; pip install triton)"
    assert table == "[] True"


def test_what_is_missing_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "find_spec", lambda name: object())
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert missing_reason() == "torch sees no NVIDIA GPU" and ENGINE.speed_claim
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (7, 0))
    assert missing_reason() == "the GPU has compute capability 7.0, the kernels need 8.0"
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (9, 0))
    assert missing_reason() is None


def test_the_interpreter_is_no_ground_for_a_claim_of_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "find_spec", lambda name: object())
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    assert interpreted() and missing_reason() is None and not ENGINE.speed_claim


def test_layers_it_cannot_run_are_declined_with_the_reason() -> None:
    packed = make(CASES["3x3"])[0]
    assert ENGINE.supports(packed, torch.float16) is None
    assert ENGINE.supports(packed, torch.int8) == "expected float32, float16 or bfloat16, got torch.int8"
    grouped = make(CASES["grouped"])[0]
    assert ENGINE.supports(grouped, torch.float32) == "expected a layer of one group, got 4"
