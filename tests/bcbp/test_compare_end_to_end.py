"""The bundled sample through the real command, worker processes, engines and compiler. Slow: one run."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_bundled_sample_is_compared_on_real_images_in_a_real_timing_process(tmp_path: Path):
    out = tmp_path / "out.json"
    line = (
        "compare --model sample --tile 32 --ratio 0.5 --methods dense,bcbp --recovery none --images 500 "
        "--batch 1 --rounds 5 --threads 1 --json"
    )
    command = [sys.executable, "-m", "bcbp", *line.split(), str(out)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT, timeout=280)
    assert done.returncode == 0, done.stderr
    report = json.loads(out.read_text())
    dense, bcbp = report["rows"]
    assert report["finished"] and report["model"]["trained"]
    assert dense["accuracy"]["total"] == 500 and dense["accuracy"]["correct"] > 450
    assert bcbp["sparsity"] == 0.5 and bcbp["wit_after"] == 0 < bcbp["wit_before"]
    assert bcbp["latency_ms"]["1"]["median"] > 0 and bcbp["speedup"]["1"]["verdict"]
    assert "compiled" in report["latency"]["1"]["dense"] | report["latency"]["1"]["declined"]
    assert "Latency at batch 1" in done.stdout
