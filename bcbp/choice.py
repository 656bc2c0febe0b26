"""Which engine runs a layer, and why: asked for, declined, or measured to be faster.

Under "auto" layers that keep every weight are measured as well, in pruned networks and in dense ones: what
the engine of pruned layers gains by itself is then no gain of pruning.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from bcbp.mask import Mask
from kernels.engines import Epilogue, Operator, decline_reason
from kernels.engines import engine as engine_named
from kernels.layout import ConvGeometry
from kernels.measure import measure
from kernels.pack import PackedWeight, pack_dense

AUTO = "auto"
SPARSE, DENSE = "cpu-tiles", "dense"
# Enough for a choice between two: a wrong one costs at most what the two differ by.
_ROUNDS, _SAMPLE_SECONDS = 7, 0.002


@dataclass(frozen=True)
class LayerRun:
    """Which engine runs layer `name`, and the reason in words."""

    name: str
    engine: str
    reason: str


@dataclass(frozen=True, eq=False)
class LayerJob:
    """A layer to be run: masked `weight` [M, K] with what is fused behind it, and what it is given.

    `input_shape` is [N, C, H, W]; `mask` is None for a layer outside the plan.
    """

    name: str
    geometry: ConvGeometry
    weight: Tensor
    epilogue: Epilogue
    input_shape: tuple[int, ...]
    residual: bool
    mask: Mask | None

    @property
    def whole(self) -> bool:
        """Whether every weight is kept."""
        return self.mask is None or self.mask.kept == self.weight.numel()

    def packed(self) -> PackedWeight:
        if self.mask is None:
            return pack_dense(self.weight, self.geometry)
        return self.mask.pack(self.weight, self.geometry)

    def example(self) -> tuple[Tensor, ...]:
        """Random inputs of the right shapes, channels_last."""
        count, _, height, width = self.input_shape
        shapes = [self.input_shape]
        if self.residual:
            shapes.append((count, self.geometry.rows, *self.geometry.output_size(height, width)))
        generator = torch.Generator().manual_seed(0)
        return tuple(
            torch.randn(shape, generator=generator).contiguous(memory_format=torch.channels_last)
            for shape in shapes
        )


def build_layer(job: LayerJob, engine: str) -> tuple[Operator, LayerRun]:
    """The operator that runs `job` under the `engine` asked for ("auto" measures), and what was decided."""
    if engine == DENSE:
        return _dense(job), LayerRun(job.name, DENSE, "asked for")
    if engine != AUTO and job.whole:
        return _dense(job), LayerRun(job.name, DENSE, "it keeps every weight")
    name, packed = SPARSE if engine == AUTO else engine, job.packed()
    declined = decline_reason(name, packed, packed.tiles[0].values.dtype, job.epilogue.activation)
    if declined is not None:
        return _dense(job), LayerRun(job.name, DENSE, f"{name} declined: {declined}")
    operator = engine_named(name).build(packed, job.epilogue)
    if engine != AUTO:
        return operator, LayerRun(job.name, name, "asked for")
    return _faster(job, operator)


def _dense(job: LayerJob) -> Operator:
    return engine_named(DENSE).build(pack_dense(job.weight, job.geometry), job.epilogue)


def _faster(job: LayerJob, sparse: Operator) -> tuple[Operator, LayerRun]:
    """The sparse operator, or the dense one where that measured faster on this machine."""
    dense, inputs = _dense(job), job.example()
    times = measure(
        {DENSE: _call(dense, inputs), SPARSE: _call(sparse, inputs)},
        baseline=DENSE,
        rounds=_ROUNDS,
        sample_seconds=_SAMPLE_SECONDS,
    )
    seconds = {name: times[name].median for name in (DENSE, SPARSE)}
    winner = min(seconds, key=lambda name: seconds[name])
    reason = (
        f"{winner} was {max(seconds.values()) / min(seconds.values()):.2f}x faster here "
        f"({min(seconds.values()) * 1e3:.3f} vs {max(seconds.values()) * 1e3:.3f} ms)"
    )
    return {DENSE: dense, SPARSE: sparse}[winner], LayerRun(job.name, winner, reason)


def _call(operator: Operator, inputs: tuple[Tensor, ...]) -> Callable[[], Tensor]:
    return lambda: operator(*inputs)
