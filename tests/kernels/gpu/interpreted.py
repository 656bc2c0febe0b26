"""Run by test_choice in a process of its own, with Triton's interpreter: every operator on small layers."""

from __future__ import annotations

import sys
from dataclasses import replace
from itertools import product

import torch

from kernels.bench import BenchJob, layer_rows
from kernels.gpu import ceiling, semi_structured
from kernels.gpu.bench import AS_COLUMN, LONGEST, UNPRUNED, GpuBench
from kernels.gpu.choice import choose
from kernels.gpu.feature_map import SHIFTED, chwn, shift_of, shifted
from kernels.gpu.map_layer import MapLayer, Maps
from kernels.gpu.operators import DEPTHWISE, GATHERED, OPERATORS, STREAMING, VENDOR
from kernels.gpu.vendor import MOST_STORES
from kernels.layers import square
from kernels.measure import host_timer
from kernels.precision import FP16, FP32, Precision
from kernels.roofline import Ceiling
from kernels.testing import assert_close
from tests.kernels.cases import Case, conv, make

FIRST = {
    STREAMING: Case(conv(32, 64, (1, 1)), plane=(4, 5), residual=True),
    GATHERED: Case(conv(32, 64), plane=(4, 5), ratio=0.2, residual=True),
    DEPTHWISE: Case(conv(16, 16, groups=16), plane=(4, 5), tile=1, residual=True),
    VENDOR: Case(conv(16, 32, groups=4), plane=(4, 5), tile=8, residual=True),
}


def maps_of(case: Case, kind: str, precision: Precision) -> tuple[MapLayer, Maps, dict[str, object]]:
    """A case on maps of one layout, filled; y holds NaN."""
    packed, epilogue, x, residual = make(case)
    g, images = packed.geometry, len(x)
    output = g.output_size(*case.plane)
    if kind == SHIFTED:
        source = shifted(
            g.in_channels,
            case.plane,
            images,
            halo_rows=g.padding[0],
            shift=shift_of(g),
            dtype=precision.dtype,
        )
        y, added = (shifted(g.rows, output, images, dtype=precision.dtype) for _ in range(2))
    else:
        source = chwn(g.in_channels, case.plane, images, halo=g.padding, dtype=precision.dtype)
        y, added = (chwn(g.rows, output, images, dtype=precision.dtype) for _ in range(2))
    source.write(x)
    if residual is not None:
        added.write(residual)
    y.buffer.fill_(torch.nan)
    maps = Maps(source, y, None if residual is None else added)
    exact = {"packed": packed, "x": x, "epilogue": epilogue, "residual": residual, "precision": precision}
    return MapLayer(packed, epilogue, precision), maps, exact


def check_choices() -> None:
    """The special operator before the general, the right values, and a reason that claims no time."""
    for (name, case), images, precision in product(FIRST.items(), (1, 3), (FP16, FP32)):
        kind = SHIFTED if images == 1 else "chwn"
        layer, maps, exact = maps_of(replace(case, images=images), kind, precision)
        choice = choose(layer, maps)
        assert choice.engine == name, (choice, name)
        assert "nothing was timed" in choice.reason
        assert (choice.config is not None) == OPERATORS[name].tiled
        choice.run()
        stores = MOST_STORES if name == VENDOR else 1
        assert_close(maps.written.read(), stores=stores, **exact)


def check_copies_are_written_by_whoever_can() -> None:
    layer, maps, exact = maps_of(FIRST[STREAMING], SHIFTED, FP16)
    reader = conv(64, 8)
    copies = shifted(64, (4, 5), 1, halo_rows=1, shift=shift_of(reader), dtype=FP16.dtype)
    choice = choose(layer, Maps(maps.x, maps.y, maps.residual, copies))
    assert choice.engine == GATHERED  # the streaming product writes no copies
    choice.run()
    assert_close(maps.written.read(), **exact)
    expected = shifted(64, (4, 5), 1, halo_rows=1, shift=shift_of(reader), dtype=FP16.dtype)
    expected.write(maps.written.read())
    assert torch.equal(copies.buffer, expected.buffer)


class UnmeasuredBench(GpuBench):
    """With ceilings that are given: a machine without a GPU has none."""

    sample_seconds = 1e-9

    def ceiling(self) -> Ceiling:
        return Ceiling(1e12, 1e12, precision=self.dtype)


def check_benchmark() -> None:
    patterns = ("bcbp", "column", LONGEST, AS_COLUMN, "block", "filter")
    layer = square(16, 64, size=4)
    jobs = [BenchJob(layer, batch, tile=32, ratio=ratio) for batch, ratio in ((1, 0.5), (8, 0.5), (8, 0.0))]
    for rows in layer_rows(jobs, UnmeasuredBench(FP16), patterns=patterns, rounds=5):
        found = {row.pattern: row for row in rows}
        assert list(found) == ["dense conv alone", "dense eager", "dense fused", UNPRUNED, *patterns]
        assert found["dense fused"].median_ms is None  # cuDNN has no such form on a CPU
        assert found["dense fused"].note.startswith("cuDNN declined: ")
        fastest = min(("dense eager", UNPRUNED), key=lambda name: found[name].median_ms or 0.0)
        assert {row.yardstick for row in rows if row.median_ms} == {fastest}
        assert found[UNPRUNED].density == 1 and found[UNPRUNED].wit is None
        assert {row.dtype for row in rows} == {"fp16"}
        for pattern in patterns:
            assert found[pattern].median_ms is not None, found[pattern].note
        assert found["column"].engine == found[LONGEST].engine == found["block"].engine == GATHERED
        assert found["filter"].engine in ("cuDNN", found[UNPRUNED].engine)
        assert found["column"].density == found[LONGEST].density == found[AS_COLUMN].density
        expected = round(1 / 3, 9) if rows[0].ratio else 0.0
        assert found["bcbp"].wit == found[AS_COLUMN].wit == 0 and found["filter"].wit is None
        assert found["column"].wit == found[LONGEST].wit and round(found["column"].wit, 9) == expected
        assert "at the launch of column" in found[AS_COLUMN].note
        writes = "plain and 3 copies" if rows[0].batch == 1 else ""
        assert found["bcbp"].writes == found[LONGEST].writes == writes
        assert found["bcbp"].waves is None  # there is no card to fill
        for pattern in ("bcbp", LONGEST, AS_COLUMN):
            low, high = found[pattern].over_column_interval or (0.0, 0.0)
            assert 0 < low <= (found[pattern].over_column or 0.0) <= high
        assert found["column"].over_column is None and found["filter"].over_column is None


def check_a_mask_that_happens_to_be_2_4_runs_on_tiles() -> None:
    """Two of 16 columns are never three of four; the sparse tensor cores are said to be there."""
    semi_structured.missing_reason = lambda: None
    job = BenchJob(square(16, 64, kernel=1, size=4), batch=8, tile=32, ratio=0.875)
    (rows,) = layer_rows([job], UnmeasuredBench(FP16), patterns=("bcbp",), rounds=5)
    assert rows[-1].engine == STREAMING and rows[-1].median_ms is not None, rows[-1].note


def check_ceilings() -> None:
    """The readers read everything: the largest value is among what each kept."""
    timer = host_timer()
    assert ceiling.copy_rate(timer, size=1 << 16, device="cpu") > 0
    assert ceiling.product_rate(FP16, timer, size=32, device="cpu") > 0
    assert ceiling.cache_rate(timer, size=16 * ceiling.BLOCK, programs=2, passes=1, device="cpu") > 0
    x = torch.randn(3 * ceiling.BLOCK)
    kept = torch.empty(2 * ceiling.BLOCK)
    ceiling.read_repeatedly[(2,)](x, kept, 3, 2, BLOCK=ceiling.BLOCK)
    assert torch.equal(kept.view(2, -1).max(0).values, x.view(3, -1).max(0).values)


if __name__ == "__main__":
    check_choices()
    check_copies_are_written_by_whoever_can()
    check_benchmark()
    check_ceilings()
    check_a_mask_that_happens_to_be_2_4_runs_on_tiles()
    sys.exit(0)
