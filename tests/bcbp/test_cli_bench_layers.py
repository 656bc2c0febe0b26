"""Layers and ceilings on the command line: parts, files taken up again, devices that are not there."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from bcbp.cli import bench_layers, main
from bcbp.cli.bench_layers import part
from bcbp.cli.record import Record
from bcbp.devices import DEVICES, present_devices, rates_of
from bcbp.errors import SpecError
from bcbp.runtime import CPU, GPU
from kernels.bench import Candidate
from kernels.layers import LAYERS, square
from kernels.measure import Stopped
from kernels.roofline import Ceiling

SHAPES = (square(16, 32, size=6), square(32, 32, size=6))


class QuickBench:
    """A device of two layers whose candidates do nothing; `jobs` are those it was asked for."""

    baseline, dtype, itemsize, sample_seconds = "dense", "float32", 4, 1e-9
    dense_forms = ("dense",)
    patterns = ("bcbp", "filter")

    def __init__(self) -> None:
        self.jobs: list[str] = []

    def ceiling(self) -> Ceiling:
        return Ceiling(1e9, 2e9, threads=2)

    def timer(self):
        return lambda run, inner: 0.001

    def candidates(self, layer, patterns):
        self.jobs.append(f"{layer.shape.name}, {layer.batch}, {layer.ratio:g}")
        return [Candidate(name, "none", 1.0, lambda: None) for name in ("dense", *patterns)]


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> QuickBench:
    quick = QuickBench()
    monkeypatch.setitem(LAYERS, "two", SHAPES)
    monkeypatch.setattr(bench_layers, "device_bench", lambda chosen, precision: quick)
    return quick


def run(*options: str) -> int:
    line = "bench layers --model two --batch 1 --ratio 0.5,0.75 --rounds 5 --tile 16 --methods dense,bcbp"
    return main([*line.split(), *options])


def rows_in(path: Path) -> list[dict]:
    return json.loads(path.read_text())["rows"]


def test_a_file_is_taken_up_again_and_what_it_holds_is_not_measured_twice(
    bench: QuickBench, tmp_path: Path, capsys
) -> None:
    path = tmp_path / "rows.json"
    assert run("--json", str(path), "--part", "1/2") == 0
    assert bench.jobs == ["3x3 16-32 @6, 1, 0.5", "3x3 32-32 @6, 1, 0.5"]
    first = rows_in(path)
    assert run("--json", str(path)) == 0
    assert bench.jobs[2:] == ["3x3 16-32 @6, 1, 0.75", "3x3 32-32 @6, 1, 0.75"]
    assert "4 rows kept" in capsys.readouterr().err
    assert rows_in(path)[:4] == first and len(rows_in(path)) == 8
    assert len(json.loads(path.read_text())["earlier"]) == 1
    assert run("--json", str(path)) == 0
    assert len(bench.jobs) == 4 and len(rows_in(path)) == 8


def test_a_method_that_is_missing_has_its_layer_measured_anew(bench: QuickBench, tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    run("--json", str(path), "--part", "1/4")
    run("--json", str(path), "--part", "1/4", "--methods", "bcbp,filter")
    assert bench.jobs == ["3x3 16-32 @6, 1, 0.5"] * 2
    assert [row["pattern"] for row in rows_in(path)] == ["dense", "bcbp", "filter"]


def test_parts_together_are_everything_once(bench: QuickBench) -> None:
    for index in (1, 2, 3):
        run("--part", f"{index}/3")
    assert sorted(bench.jobs) == sorted(
        f"{shape.name}, 1, {ratio}" for shape in SHAPES for ratio in (0.5, 0.75)
    )


def test_after_the_limit_no_layer_is_begun_and_the_file_has_those_before(
    bench: QuickBench, tmp_path: Path, capsys
) -> None:
    path = tmp_path / "rows.json"
    assert run("--json", str(path), "--limit-seconds", "0") == 0
    assert len(bench.jobs) == 1 and len(rows_in(path)) == 2
    assert "time is up: 3 layers are left; the same command goes on with them" in capsys.readouterr().err


def test_a_crash_loses_no_layer_that_was_measured(
    bench: QuickBench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, right = tmp_path / "rows.json", bench.candidates

    def crashes(layer, patterns):
        if len(bench.jobs) == 2:
            raise RuntimeError("the device is gone")
        return right(layer, patterns)

    monkeypatch.setattr(bench, "candidates", crashes)
    with pytest.raises(RuntimeError, match="gone"):
        run("--json", str(path))
    assert len(rows_in(path)) == 4


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "to hold rows of layers"),
        ('{"kind": "networks", "environment": {}, "rows": []}', "to hold rows of layers"),
        ('{"kind": "layers", "environment": {"cpu": "abacus"}, "rows": []}', "they were with abacus"),
    ],
)
def test_rows_of_another_kind_or_machine_are_not_mixed_in(
    bench: QuickBench, tmp_path: Path, capsys, content: str, words: str
) -> None:
    path = tmp_path / "rows.json"
    path.write_text(content)
    assert run("--json", str(path)) == 2
    assert words in capsys.readouterr().err
    assert path.read_text() == content and bench.jobs == []


def test_rows_of_one_gpu_may_come_from_two_machines_but_not_from_two_gpus(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    here = {"cpu": "abacus", "gpu": "H200", "threads": 1, "versions": {"torch": "2.15"}}
    first = Record(path, "layers", here)
    first.rows.append({"layer": "3x3"})
    first.save()
    assert Record(path, "layers", here | {"cpu": "slide rule", "threads": 2}).resume(GPU) == 1
    with pytest.raises(SpecError, match="gpu H100"):
        Record(path, "layers", here | {"gpu": "H100"}).resume(GPU)
    with pytest.raises(SpecError, match="threads 2"):
        Record(path, "layers", here | {"threads": 2}).resume(CPU)


def test_an_empty_file_is_no_record_yet(tmp_path: Path) -> None:
    (tmp_path / "rows.json").touch()
    record = Record(tmp_path / "rows.json", "layers", {})
    assert record.resume(CPU) == 0
    record.save()
    assert (tmp_path / "rows.json").read_text() == ""  # nothing found, nothing written


def test_ceilings_are_printed_and_written(bench: QuickBench, tmp_path: Path, capsys) -> None:
    path = tmp_path / "ceilings.json"
    assert main(["bench", "ceilings", "--json", str(path)]) == 0
    assert "fp32 peak" in capsys.readouterr().out
    assert [row["flops"] for row in rows_in(path)] == [1e9]


def test_a_stop_keeps_the_rows_before_it(bench: QuickBench, tmp_path: Path, monkeypatch) -> None:
    path, right = tmp_path / "rows.json", bench.candidates

    def stops(layer, patterns):
        if bench.jobs:
            raise Stopped
        return right(layer, patterns)

    monkeypatch.setattr(bench, "candidates", stops)
    run("--json", str(path))
    assert len(rows_in(path)) == 2


@pytest.mark.parametrize("text", ["0/2", "3/2", "1", "a/b", "1/"])
def test_a_part_that_is_none_is_refused(text: str, capsys) -> None:
    with pytest.raises(SystemExit):
        main(["bench", "layers", "--part", text])
    assert "expected a part like 2/6" in capsys.readouterr().err
    assert part("2/6") == (2, 6)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("bench layers --device cuda", "can measure on cuda; torch sees no NVIDIA GPU"),
        ("bench ceilings --device cuda", "can measure on cuda; torch sees no NVIDIA GPU"),
        ("bench layers --precision fp16", "Expected fp32 on device cpu, its engines know no other; got fp16"),
        ("bench planning --device cuda", "Expected --device cpu for planning; got cuda"),
        ("bench layers --methods magic", "Expected methods out of bcbp"),
    ],
)
def test_what_this_machine_cannot_measure_is_refused(line: str, words: str, capsys, monkeypatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("kernels.cpu.engine._host", lambda: None)
    assert main(line.split()) == 2
    assert words in capsys.readouterr().err


def test_the_interpreter_is_no_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    assert "its times mean nothing" in str(DEVICES[GPU].missing())
    assert GPU not in present_devices()


def test_a_ceiling_is_named_rate_by_rate() -> None:
    assert [rate.unit for rate in rates_of(Ceiling(1.0, 2.0))] == ["FLOP/s", "B/s"]
    rates = rates_of(Ceiling(1.0, 2.0, precision="fp16", cache_bytes=3.0))
    assert [(rate.name, rate.value) for rate in rates] == [
        ("fp16 peak", 1.0),
        ("memory copy", 2.0),
        ("second cache", 3.0),
    ]


def test_a_device_gives_the_rows_of_its_own_bench(bench: QuickBench) -> None:
    device = replace(DEVICES[CPU], bench=lambda: bench)
    rows = list(device.rows(SHAPES, ratios=(0.5,), batches=(1,), tile=16, patterns=("bcbp",), rounds=5))
    assert [(row.layer, row.pattern) for row in rows] == [
        (shape.name, pattern) for shape in SHAPES for pattern in ("dense", "bcbp")
    ]


def test_an_unknown_set_of_layers_names_those_there_are(bench: QuickBench, capsys) -> None:
    assert main(["bench", "layers", "--model", "lenet"]) == 2
    assert "resnet18" in capsys.readouterr().err


def test_the_state_of_the_gpu_is_that_after_a_timing_not_of_an_idle_end(
    bench: QuickBench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def state() -> dict[str, str]:
        asked.append(len(bench.jobs))
        return {"clocks.sm": f"{1000 + len(asked)} MHz"}

    monkeypatch.setattr("bcbp.cli.record.gpu_state", state)
    path = tmp_path / "rows.json"
    assert run("--json", str(path)) == 0
    assert asked == [1, 2, 3, 4]  # behind each layer
    assert json.loads(path.read_text())["environment"]["gpu_state"] == {"clocks.sm": "1004 MHz"}
