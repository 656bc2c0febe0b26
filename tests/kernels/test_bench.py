"""The layer benchmark checks before it times, and reports what it timed."""

from __future__ import annotations

import json

import pytest
import torch

from kernels import bench, memory
from kernels.bench import BASELINE, LayerRow, layer_rows
from kernels.cpu import ceiling
from kernels.engines import decline_reason, engine
from kernels.layers import LAYERS, LayerShape, square
from kernels.measure import Stopped
from kernels.pack import pack_dense
from kernels.roofline import Ceiling

SMALL = square(16, 32, size=6)


@pytest.fixture(autouse=True)
def known_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ceiling, "measure_ceiling", lambda: Ceiling(1e11, 1e10, 2))
    monkeypatch.setattr(bench, "keep_freed_memory", lambda: True)


def rows_of(**options: object) -> list[LayerRow]:
    chosen = {"ratios": (0.5,), "batches": (1,), "tile": 16, "rounds": 5, **options}
    return list(layer_rows((SMALL,), **chosen))


def test_every_candidate_gets_a_row() -> None:
    if decline_reason("cpu-tiles", pack_dense(torch.ones(32, 144), SMALL.geometry)):
        pytest.skip("no cpu-tiles on this machine")
    rows = {row.pattern: row for row in rows_of()}
    assert list(rows) == ["dense plain", BASELINE, *bench.PATTERNS]
    faster = min((bench.PLAIN, BASELINE), key=lambda name: rows[name].median_ms)
    assert rows[faster].speedup == 1.0
    assert {row.yardstick for row in rows.values()} == {faster}
    for pattern in bench.PATTERNS:
        assert rows[pattern].density == pytest.approx(0.5, abs=0.06)
    for row in rows.values():
        assert row.samples == 5 and row.q1_ms <= row.median_ms <= row.q3_ms
        assert row.gflops == pytest.approx(row.peak_share * 1e11 / 1e9)
        assert json.loads(json.dumps(row.to_json()))["layer"] == "3x3 16-32 @6"


def test_a_declined_layer_has_a_reason_and_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "decline_reason", lambda name, packed: "no wide vectors")
    row = rows_of(patterns=("bcbp",))[-1]
    assert (row.pattern, row.median_ms, row.note) == ("bcbp", None, "no wide vectors")


def test_a_wrong_engine_is_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    class Wrong:
        def build(self, packed: object, epilogue: object) -> object:
            right = engine("reference").build(packed, epilogue)
            return lambda x: right(x) + 1

    monkeypatch.setattr(bench, "engine", lambda name: Wrong())
    with pytest.raises(AssertionError, match=r"expected .* got"):
        rows_of()


def test_it_stops_when_asked() -> None:
    with pytest.raises(Stopped):
        rows_of(patterns=(), should_stop=lambda: True)


def test_progress_names_the_layer() -> None:
    seen: list[tuple[float, str]] = []
    rows_of(patterns=(), progress=lambda share, what: seen.append((share, what)))
    assert seen == [(0.0, "3x3 16-32 @6, batch 1, ratio 0.5"), (1.0, "done")]


@pytest.mark.parametrize("shape", [shape for group in LAYERS.values() for shape in group])
def test_the_listed_layers_keep_their_plane_up_to_the_stride(shape: LayerShape) -> None:
    assert shape.geometry.output_size(*shape.plane)[0] * shape.geometry.stride[0] == shape.plane[0]
    assert shape.flops(2) == 4 * shape.geometry.macs(*shape.plane)


def test_the_ceiling_is_the_longer_of_arithmetic_and_traffic() -> None:
    ceiling = Ceiling(flops=100.0, bytes=10.0, threads=1)
    assert ceiling.seconds(flops=200, moved=10) == 2.0
    assert ceiling.seconds(flops=200, moved=50) == 5.0


def test_freed_memory_can_be_kept_where_glibc_is() -> None:
    assert memory.keep_freed_memory() in (True, False)
