"""The least time a network could take at a machine's measured rates: the sum over its layers.

    seconds = sum over layers of max(operations / peak, bytes / copy rate)

A layer has to multiply the weights that are kept, and to move its input, these weights, its output and, where
a sum is fused into it, the other summand, each once; batch norms and activations are fused and cost nothing.
Pooling, sums that no layer takes in and other operations between layers are not counted: the time is rather
too low than too high. It is one of memory traffic: maps that stay in a cache from one layer to the next can
be faster.

Example: 3x3 64-64 at 56 x 56 in float32, one image, half of the weights kept: 0.116 G operations take 0.25 ms
at 465 GFLOP/s, 1.68 MB take 0.08 ms at 20 GB/s, so 0.25 ms.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn

from bcbp.costs import LayerCall, layer_calls
from bcbp.fusion import fused_layers
from bcbp.intake.model import LoadedModel
from bcbp.patterns import PATTERNS
from bcbp.plan import PruningPlan
from bcbp.spec import DENSE
from bcbp.surgery import shrink
from bcbp.tracing import UntraceableError, trace
from kernels.engines import ACTIVATIONS
from kernels.precision import PRECISIONS
from kernels.roofline import Ceiling

Density = Mapping[str, float]


@dataclass(frozen=True)
class NetworkWork:
    """The calls of a network's layers for one image, and the names of layers that take in a sum."""

    calls: tuple[LayerCall, ...]
    adding: frozenset[str]

    @classmethod
    def of(cls, module: nn.Module, input_shape: tuple[int, ...]) -> NetworkWork:
        """Of a network that is no fixed graph nothing is known to be fused: it takes in no sum."""
        calls = layer_calls(module, input_shape)
        try:
            fused = fused_layers(trace(module, input_shape), ACTIVATIONS)
        except UntraceableError:
            return cls(calls, frozenset())
        return cls(calls, frozenset(one.name for one in fused if one.sum is not None))

    def seconds(self, ceiling: Ceiling, *, batch: int, density: Density) -> float:
        """What `batch` images take at least; `density` is the share of weights kept, by layer, else all."""
        return sum(self._least(call, ceiling, batch, density.get(call.name, 1.0)) for call in self.calls)

    def _least(self, call: LayerCall, ceiling: Ceiling, batch: int, density: float) -> float:
        maps = call.read + call.written * (2 if call.name in self.adding else 1)
        moved = PRECISIONS[ceiling.precision].dtype.itemsize * (batch * maps + density * call.weights)
        return ceiling.seconds(flops=2.0 * batch * density * call.macs, moved=moved)


def network_limits(
    model: LoadedModel, plans: Mapping[str, PruningPlan], *, batch: int, ceiling: Ceiling
) -> dict[str, float]:
    """Seconds that `batch` images take at least: under DENSE the whole network, and what each plan leaves."""
    whole = NetworkWork.of(model.module, model.input_shape)
    found = {DENSE: whole.seconds(ceiling, batch=batch, density={})}
    for name, plan in plans.items():
        work, density = whole, {planned.name: 1 - planned.ratio for planned in plan}
        if PATTERNS[plan.spec.pattern].changes_shapes:
            work, density = NetworkWork.of(shrink(model.module, plan), model.input_shape), {}
        found[name] = work.seconds(ceiling, batch=batch, density=density)
    return found
