"""The layer benchmark's candidates on the CPU: oneDNN as a user calls it and prepacked, and our tiles.

The engine of pruned layers runs the dense layer, too: where it is faster than oneDNN with nothing removed, a
speed-up over oneDNN alone would be pruning's only in part.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F

from kernels import dense
from kernels.bench import Candidate, checked
from kernels.cpu import ceiling as cpu_ceiling
from kernels.engines import Epilogue, decline_reason, engine
from kernels.measure import Timer, fastest
from kernels.memory import keep_freed_memory
from kernels.pack import PackedWeight
from kernels.pruned_layer import PATTERNS, PrunedLayer
from kernels.roofline import Ceiling
from kernels.testing import assert_close

SPARSE_ENGINE = "cpu-tiles"
BASELINE, PLAIN, UNPRUNED = "dense prepacked", "dense plain", f"dense {SPARSE_ENGINE}"


class CpuBench:
    """float32 on torch's threads. Frees no memory to the system from here on (see keep_freed_memory).

    For a single layer torch.compile calls the same product as the prepacked form.
    """

    baseline = BASELINE
    dense_forms: tuple[str, ...] = (BASELINE, PLAIN, UNPRUNED)
    patterns: tuple[str, ...] = PATTERNS
    dtype, itemsize, sample_seconds = "float32", 4, 0.01

    def __init__(self) -> None:
        keep_freed_memory()

    def ceiling(self) -> Ceiling:
        return cpu_ceiling.measure_ceiling()

    def timer(self) -> Timer | None:
        return None

    def candidates(self, layer: PrunedLayer, patterns: Sequence[str]) -> list[Candidate]:
        x = layer.input()
        found = [
            Candidate(PLAIN, "torch conv2d", 1.0, _plain(layer, x)),
            _checked(layer, x, BASELINE, dense.ENGINE.name, layer.dense()),
            _on_tiles(layer, x, UNPRUNED, layer.dense()),
        ]
        return found + [_pruned(layer, x, pattern) for pattern in patterns]


def _plain(layer: PrunedLayer, x: Tensor) -> Callable[[], Tensor]:
    """What a torch user calls: conv2d in channels_last, then ReLU."""
    g = layer.shape.geometry
    weight = layer.weight.view(g.weight_shape).contiguous(memory_format=torch.channels_last)

    def run() -> Tensor:
        y = F.conv2d(x, weight, layer.bias, g.stride, g.padding, g.dilation, g.groups)
        return F.relu_(y)

    return run


def _pruned(layer: PrunedLayer, x: Tensor, pattern: str) -> Candidate:
    packed = layer.pruned(pattern)
    if pattern == "filter":
        return _smaller(layer, x, packed)
    return replace(_on_tiles(layer, x, pattern, packed), wit=packed.wit)


def _smaller(layer: PrunedLayer, x: Tensor, packed: PackedWeight) -> Candidate:
    """Fewer filters, in the faster of the forms that dense has the choice of as well."""
    forms = [
        _checked(layer, x, "filter", dense.ENGINE.name, packed),
        _on_tiles(layer, x, "filter", packed),
    ]
    runs = {one.engine: one.run for one in forms if one.run is not None}
    chosen = fastest(runs, timer=None) if runs else forms[0].engine
    return next(one for one in forms if one.engine == chosen)


def _on_tiles(layer: PrunedLayer, x: Tensor, pattern: str, packed: PackedWeight) -> Candidate:
    """On the engine of pruned layers, or the reason it declines."""
    reason = decline_reason(SPARSE_ENGINE, packed)
    if reason is not None:
        return Candidate(pattern, SPARSE_ENGINE, layer.share(packed), None, reason)
    return _checked(layer, x, pattern, SPARSE_ENGINE, packed)


def _checked(layer: PrunedLayer, x: Tensor, pattern: str, name: str, packed: PackedWeight) -> Candidate:
    """The candidate, after its result was compared with the exact one."""
    epilogue = Epilogue(layer.bias[: packed.geometry.rows].contiguous(), "relu")
    operator = engine(name).build(packed, epilogue)
    note = getattr(operator, "note", "")
    candidate = Candidate(pattern, name, layer.share(packed), lambda: operator(x), note)
    return checked(candidate, lambda: assert_close(operator(x), packed=packed, x=x, epilogue=epilogue))
