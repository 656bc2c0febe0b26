"""The layer benchmark checks before it times, and reports what it timed."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from torchvision import models

from kernels import memory
from kernels.bench import PATTERNS, BenchJob, Candidate, LayerRow, checked, layer_rows
from kernels.cpu import bench as cpu_bench
from kernels.cpu import ceiling
from kernels.cpu.bench import BASELINE, PLAIN, UNPRUNED, CpuBench
from kernels.engines import decline_reason, engine
from kernels.layers import LAYERS, LayerShape, square
from kernels.measure import Stopped
from kernels.pack import pack_dense
from kernels.pruned_layer import PrunedLayer
from kernels.roofline import Ceiling

SMALL = square(16, 32, size=6)
JOB = BenchJob(SMALL, batch=1, tile=16, ratio=0.5)


@pytest.fixture(autouse=True)
def known_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ceiling, "measure_ceiling", lambda: Ceiling(1e11, 1e10, 2))
    monkeypatch.setattr(cpu_bench, "keep_freed_memory", lambda: True)


def rows_of(**options: object) -> list[LayerRow]:
    chosen = {"rounds": 5, **options}
    return [row for rows in layer_rows((JOB,), CpuBench(), **chosen) for row in rows]


def test_every_candidate_gets_a_row() -> None:
    if decline_reason("cpu-tiles", pack_dense(torch.ones(32, 144), SMALL.geometry)):
        pytest.skip("no cpu-tiles on this machine")
    rows = {row.pattern: row for row in rows_of()}
    assert list(rows) == [PLAIN, BASELINE, UNPRUNED, *PATTERNS]
    fastest = min((PLAIN, BASELINE, UNPRUNED), key=lambda name: rows[name].median_ms)
    assert rows[fastest].speedup == 1.0
    assert {row.yardstick for row in rows.values()} == {fastest}
    assert rows[UNPRUNED].density == 1 and rows[UNPRUNED].engine == rows["bcbp"].engine
    for pattern in PATTERNS:
        assert rows[pattern].density == pytest.approx(0.5, abs=0.06)
    assert [rows[name].wit for name in ("bcbp", "filter", BASELINE, UNPRUNED)] == [0, None, None, None]
    assert rows["column"].wit == pytest.approx(1 / 3)
    assert [row.pattern for row in rows.values() if row.over_column is not None] == ["bcbp", "block"]
    low, high = rows["bcbp"].over_column_interval
    assert 0 < low <= rows["bcbp"].over_column <= high
    for row in rows.values():
        assert row.samples == 5 and row.q1_ms <= row.median_ms <= row.q3_ms
        assert row.gflops == pytest.approx(row.peak_share * 1e11 / 1e9)
        assert json.loads(json.dumps(row.to_json()))["layer"] == "3x3 16-32 @6"


@pytest.mark.parametrize("ratio", [0.0, 0.1, 0.25, 0.5, 0.75])
@pytest.mark.parametrize("pattern", ["bcbp", "column", "block", "filter"])
def test_every_pattern_keeps_its_share(pattern: str, ratio: float) -> None:
    layer = PrunedLayer(BenchJob(square(64, 128, size=6), batch=1, tile=16, ratio=ratio))
    packed = layer.pruned(pattern)
    assert layer.share(packed) == pytest.approx(1 - ratio, abs=0.02)


def test_unbalanced_tiles_are_as_far_apart_as_their_mean_allows() -> None:
    half, most = (
        PrunedLayer(BenchJob(square(64, 128, size=6), batch=1, tile=16, ratio=ratio)).pruned("column")
        for ratio in (0.5, 0.25)
    )
    assert half.wit == pytest.approx(1 / 3, abs=0.01)  # from half to one and a half times the mean
    assert most.wit == pytest.approx(0.25, abs=0.01)  # from half of the columns to all


def test_a_declined_layer_has_a_reason_and_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu_bench, "decline_reason", lambda name, packed: "no wide vectors")
    rows = {row.pattern: row for row in rows_of(patterns=("bcbp", "filter"))}
    for name in ("bcbp", UNPRUNED):
        assert (rows[name].median_ms, rows[name].note) == (None, "no wide vectors")
    assert rows["filter"].engine == "dense" and rows["filter"].median_ms is not None


@pytest.mark.parametrize("faster", ["dense", "cpu-tiles"])
def test_the_smaller_layer_runs_on_the_faster_engine_as_the_dense_one_may(
    monkeypatch: pytest.MonkeyPatch, faster: str
) -> None:
    monkeypatch.setattr(cpu_bench, "engine", lambda name: engine("reference"))
    monkeypatch.setattr(cpu_bench, "decline_reason", lambda name, packed: None)
    monkeypatch.setattr(cpu_bench, "fastest", lambda runs, timer: faster)
    found = CpuBench().candidates(PrunedLayer(JOB), ("filter",))[-1]
    assert (found.pattern, found.engine) == ("filter", faster)


class Wrong:
    def build(self, packed: object, epilogue: object) -> object:
        right = engine("reference").build(packed, epilogue)
        return lambda x: right(x) + 1


def test_a_wrong_engine_is_not_timed_and_its_row_says_how_it_is_wrong(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cpu_bench, "engine", lambda name: Wrong() if name == "dense" else engine("reference"))
    monkeypatch.setattr(cpu_bench, "decline_reason", lambda name, packed: None)
    rows = {row.pattern: row for row in rows_of(patterns=("bcbp",))}
    assert rows[BASELINE].note.startswith("not timed, its result is wrong: element")
    # without its control the session cannot be judged
    assert rows["bcbp"].note.startswith("not timed, as dense prepacked has no time")
    assert [row.median_ms for row in rows.values()] == [None] * 4


def test_only_a_failed_check_takes_the_call_away() -> None:
    right = Candidate("bcbp", "engine", 0.5, lambda: None, "fast")
    assert checked(right, lambda: None) is right

    def fails() -> None:
        raise AssertionError("element 3")

    found = checked(right, fails)
    assert found == replace(right, run=None, note="not timed, its result is wrong: element 3")


def test_it_stops_when_asked() -> None:
    with pytest.raises(Stopped):
        rows_of(patterns=(), should_stop=lambda: True)


def test_progress_names_the_layer() -> None:
    seen: list[tuple[float, str]] = []
    rows_of(patterns=(), progress=lambda share, what: seen.append((share, what)))
    assert seen == [(0.0, "3x3 16-32 @6, batch 1, tile 16, ratio 0.5"), (1.0, "done")]


@pytest.mark.parametrize("shape", [shape for group in LAYERS.values() for shape in group])
def test_the_listed_layers_keep_their_plane_up_to_the_stride(shape: LayerShape) -> None:
    assert shape.geometry.output_size(*shape.plane)[0] * shape.geometry.stride[0] == shape.plane[0]
    assert shape.flops(2) == 4 * shape.geometry.macs(*shape.plane)


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "vgg16", "wide_resnet50_2"])
def test_the_listed_layers_are_the_networks_convolutions(name: str) -> None:
    module, seen = getattr(models, name)().to("meta").eval(), set()

    def note(layer: torch.nn.Conv2d, given: tuple[torch.Tensor, ...], _: object) -> None:
        kernel, stride = layer.kernel_size[0], layer.stride[0]
        assert layer.padding == (kernel // 2, kernel // 2)
        size = given[0].shape[-1]
        shape = square(layer.in_channels, layer.out_channels, kernel=kernel, stride=stride, size=size)
        seen.add(shape)

    for layer in module.modules():
        if isinstance(layer, torch.nn.Conv2d):
            layer.register_forward_hook(note)
    module(torch.zeros(1, 3, 224, 224, device="meta"))
    listed = LAYERS[name] if name != "resnet18" else LAYERS["imagenet"]
    assert seen <= set(LAYERS["imagenet"])
    assert seen <= set(listed)
    if name != "resnet18":
        assert seen == set(listed)


def test_the_ceiling_is_the_longer_of_arithmetic_and_traffic() -> None:
    ceiling = Ceiling(flops=100.0, bytes=10.0, threads=1)
    assert ceiling.seconds(flops=200, moved=10) == 2.0
    assert ceiling.seconds(flops=200, moved=50) == 5.0


def test_a_residual_and_a_shorter_type_change_the_bytes_moved() -> None:
    x, y, weights = 2 * 16 * 36, 2 * 32 * 36, 32 * 144
    assert SMALL.moved(2) == 4 * (x + y + weights)
    assert SMALL.moved(2, 0.5, itemsize=2, residual=True) == 2 * (x + 2 * y + weights / 2)


def test_freed_memory_can_be_kept_where_glibc_is() -> None:
    assert memory.keep_freed_memory() in (True, False)
