"""The layer benchmark: pruned layers on the CPU engine beside the best dense layer and the smaller one.

Every candidate is checked against the exact product before it is timed. All candidates of a layer, batch and
ratio are timed in one session, round by round; speed-ups are against the prepacked dense layer of the same
session.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from kernels import dense
from kernels.cpu import ceiling as cpu_ceiling
from kernels.engines import Epilogue, decline_reason, engine
from kernels.layers import LayerShape
from kernels.layout import ConvGeometry
from kernels.measure import Measurement, compare, measure
from kernels.memory import keep_freed_memory
from kernels.pack import PackedWeight, pack, pack_dense
from kernels.roofline import Ceiling
from kernels.testing import assert_close

BASELINE, PLAIN = "dense prepacked", "dense plain"
DENSE_FORMS = (BASELINE, PLAIN)
# bcbp: the same number of columns in every tile. column: tiles from half to one and a half times the mean.
# block: rows and columns. filter: a smaller layer of fewer filters, with equal arithmetic, on oneDNN.
PATTERNS = ("bcbp", "column", "block", "filter")
SPARSE_ENGINE = "cpu-tiles"
_SMALLEST_AND_LARGEST = (0.5, 1.5)


@dataclass(frozen=True)
class LayerRow:
    """One timed candidate. Times in milliseconds; `density` is the share of multiply-accumulates it keeps.

    `gflops` counts those it keeps only; `peak_share` sets them against the machine's measured multiply-add
    rate. `limit_share` is the least time the machine allows (arithmetic or traffic, whichever is longer) as
    a share of the time taken. `speedup` is over the faster of DENSE_FORMS in the same session, which
    `yardstick` names (for a single layer torch.compile calls the same prepacked product). `note` says why
    a candidate has no time, or which call stood in.
    """

    layer: str
    batch: int
    dtype: str
    tile: int
    ratio: float
    pattern: str
    engine: str
    density: float
    median_ms: float | None = None
    q1_ms: float | None = None
    q3_ms: float | None = None
    samples: int = 0
    speedup: float | None = None
    interval: tuple[float, float] | None = None
    verdict: str | None = None
    gflops: float | None = None
    peak_share: float | None = None
    limit_share: float | None = None
    noisy: bool = False
    yardstick: str | None = None
    note: str = ""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Candidate:
    """Something to time: the call, or the reason (`note`) there is none."""

    pattern: str
    engine: str
    density: float
    run: Callable[[], Tensor] | None
    note: str = ""


def layer_rows(
    shapes: Sequence[LayerShape],
    *,
    ratios: Sequence[float] = (0.5, 0.75),
    batches: Sequence[int] = (1, 8),
    tile: int = 64,
    patterns: Sequence[str] = PATTERNS,
    rounds: int = 15,
    progress: Callable[[float, str], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Iterator[LayerRow]:
    """Rows as they are measured: for each layer, batch and ratio dense (plain, prepacked), then `patterns`.

    Frees no memory to the system from here on (see keep_freed_memory). Raises Stopped when `should_stop`
    says so.
    """
    keep_freed_memory()
    ceiling = cpu_ceiling.measure_ceiling()
    jobs = list(product(shapes, batches, ratios))
    for number, (shape, batch, ratio) in enumerate(jobs):
        if progress:
            progress(number / len(jobs), f"{shape.name}, batch {batch}, ratio {ratio:g}")
        layer = _Layer(shape, batch, min(tile, shape.geometry.rows), ratio)
        candidates = layer.candidates(patterns)
        runs = {candidate.pattern: candidate.run for candidate in candidates if candidate.run is not None}
        taken = measure(runs, baseline=BASELINE, rounds=rounds, should_stop=should_stop)
        yardstick = min(DENSE_FORMS, key=lambda name: taken[name].median)
        for candidate in candidates:
            yield _row(layer, candidate, taken, yardstick=yardstick, ceiling=ceiling)
    if progress:
        progress(1.0, "done")


class _Layer:
    """One layer at one batch and ratio, with random weights and input."""

    def __init__(self, shape: LayerShape, batch: int, tile: int, ratio: float) -> None:
        self.shape, self.batch, self.tile, self.ratio = shape, batch, tile, ratio
        self._random = torch.Generator().manual_seed(0)
        geometry = shape.geometry
        self.weight = torch.randn(geometry.rows, geometry.columns, generator=self._random)
        self.bias = torch.randn(geometry.rows, generator=self._random)
        x = torch.randn(batch, geometry.in_channels, *shape.plane, generator=self._random)
        self.x = x.contiguous(memory_format=torch.channels_last)

    def candidates(self, patterns: Sequence[str]) -> list[Candidate]:
        everything = pack_dense(self.weight, self.shape.geometry)
        found = [self._plain(), self._checked(BASELINE, dense.ENGINE.name, everything)]
        return found + [self._pruned(pattern) for pattern in patterns]

    def _plain(self) -> Candidate:
        """What a torch user calls: conv2d in channels_last, then ReLU."""
        g = self.shape.geometry
        weight = self.weight.view(g.weight_shape).contiguous(memory_format=torch.channels_last)

        def run() -> Tensor:
            y = F.conv2d(self.x, weight, self.bias, g.stride, g.padding, g.dilation, g.groups)
            return F.relu_(y)

        return Candidate(PLAIN, "torch conv2d", 1.0, run)

    def _pruned(self, pattern: str) -> Candidate:
        if pattern == "filter":
            return self._checked("filter", dense.ENGINE.name, self._fewer_filters())
        make = {"bcbp": self._balanced, "column": self._unbalanced, "block": self._block}[pattern]
        packed = make()
        reason = decline_reason(SPARSE_ENGINE, packed)
        if reason is not None:
            return Candidate(pattern, SPARSE_ENGINE, packed.density, None, reason)
        return self._checked(pattern, SPARSE_ENGINE, packed)

    def _checked(self, pattern: str, name: str, packed: PackedWeight) -> Candidate:
        """The candidate, after its result was compared with the exact one."""
        epilogue = Epilogue(self.bias[: packed.geometry.rows].contiguous(), "relu")
        operator = engine(name).build(packed, epilogue)
        assert_close(operator(self.x), packed=packed, x=self.x, epilogue=epilogue)
        kept = packed.kept / self.weight.numel()
        return Candidate(pattern, name, kept, lambda: operator(self.x), getattr(operator, "note", ""))

    # ---------------------------------------------------------------------------------------- the patterns
    def _balanced(self) -> PackedWeight:
        return self._pack(torch.full((self._tiles,), self._kept(1 - self.ratio)))

    def _unbalanced(self) -> PackedWeight:
        """Tiles keep evenly spread shares between half and one and a half times the mean."""
        spread = torch.linspace(*_SMALLEST_AND_LARGEST, self._tiles) if self._tiles > 1 else torch.ones(1)
        spread = spread[torch.randperm(self._tiles, generator=self._random)]
        return self._pack(torch.tensor([self._kept((1 - self.ratio) * float(s)) for s in spread]))

    def _block(self) -> PackedWeight:
        """Rows and columns lose equal shares: (1 - rows)(1 - columns) = 1 - ratio."""
        share = (1 - self.ratio) ** 0.5
        height = round(share * self.tile)
        chance = torch.rand(self._tiles, self.tile, generator=self._random)
        rows = (chance.argsort(1).argsort(1) < height).flatten()[: self.shape.geometry.rows]
        return self._pack(torch.full((self._tiles,), self._kept(share)), rows)

    def _fewer_filters(self) -> PackedWeight:
        g = self.shape.geometry
        filters = max(g.groups, round(g.rows * (1 - self.ratio) / g.groups) * g.groups)
        smaller = ConvGeometry(g.in_channels, filters, g.kernel, g.stride, g.padding, g.dilation, g.groups)
        return pack_dense(self.weight[:filters], smaller)

    @property
    def _tiles(self) -> int:
        return -(-self.shape.geometry.rows // self.tile)

    def _kept(self, share: float) -> int:
        return min(self.shape.geometry.columns, max(1, round(share * self.shape.geometry.columns)))

    def _pack(self, counts: Tensor, rows: Tensor | None = None) -> PackedWeight:
        """Random columns, counts[t] of them in tile t."""
        geometry = self.shape.geometry
        order = torch.rand(self._tiles, geometry.columns, generator=self._random).argsort(1).argsort(1)
        everyone = torch.ones(geometry.rows, dtype=torch.bool)
        keep = order < counts[:, None]
        return pack(self.weight, keep, everyone if rows is None else rows, self.tile, geometry)


def _row(
    layer: _Layer,
    candidate: Candidate,
    taken: dict[str, Measurement],
    *,
    yardstick: str,
    ceiling: Ceiling,
) -> LayerRow:
    of = (layer.shape.name, layer.batch, "float32", layer.tile, layer.ratio)
    row = LayerRow(*of, candidate.pattern, candidate.engine, candidate.density, note=candidate.note)
    if candidate.run is None:
        return row
    time, gain = taken[candidate.pattern], compare(taken[candidate.pattern], taken[yardstick])
    flops = layer.shape.flops(layer.batch, candidate.density)
    least = ceiling.seconds(flops=flops, moved=layer.shape.moved(layer.batch, candidate.density))
    return LayerRow(
        *of,
        candidate.pattern,
        candidate.engine,
        candidate.density,
        median_ms=1e3 * time.median,
        q1_ms=1e3 * time.q1,
        q3_ms=1e3 * time.q3,
        samples=len(time.samples),
        speedup=gain.value,
        interval=gain.interval,
        verdict=gain.verdict,
        gflops=flops / time.median / 1e9,
        peak_share=flops / time.median / ceiling.flops,
        limit_share=least / time.median,
        noisy=time.noisy,
        yardstick=yardstick,
        note=candidate.note,
    )
