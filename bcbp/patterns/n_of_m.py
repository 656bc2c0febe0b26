"""2:4: of every four neighbouring input channels each filter keeps the best two. An accuracy reference."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from bcbp.geometry import LayerInfo, TileShape
from bcbp.mask import Mask
from bcbp.patterns.base import Outcome, Task, whole_layer
from bcbp.plan import LayerPlan


def best_of_groups(values: Tensor, taps: int, *, n: int, m: int) -> Tensor:
    """The best `n` of every `m` neighbouring channels at each tap: of `values` [M, C * taps], as bool.

    Columns run over (channel, tap); the groups run along channels, as the sparse units of GPUs want them.

    >>> best_of_groups(torch.tensor([[1.0, 4.0, 3.0, 2.0]]), 1, n=2, m=4).tolist()
    [[False, True, True, False]]
    """
    groups = values.reshape(len(values), -1, m, taps).unbind(2)
    keep = torch.empty(len(values), len(groups[0][0]), m, taps, dtype=torch.bool)
    for own, value in enumerate(groups):
        better = torch.zeros(value.shape, dtype=torch.uint8)
        for index, other in enumerate(groups):
            if index != own:  # equal scores: the first channel wins
                better += other > value if index > own else other >= value
        keep[:, :, own] = better < n
    return keep.view(values.shape)


@dataclass(frozen=True)
class NOfM:
    """n of every m along the input channels: the ratio is 1 - n/m whatever was asked."""

    name: str
    title: str
    label: str
    description: str
    n: int
    m: int
    changes_shapes: bool = False
    no_permutation: str = "every filter chooses its own weights"

    @property
    def fixed_ratio(self) -> float:
        return 1 - self.n / self.m

    def prune(self, task: Task) -> Outcome:
        reasons = {layer.name: self._reason(task, layer) for layer in task.layers}
        pool = task.book.columns(TileShape(1))
        plans = tuple(
            whole_layer(layer, TileShape(1))
            if reasons[layer.name]
            else self._layer(layer, pool[layer.name].values)
            for layer in task.layers
        )
        kept_dense = tuple((name, reason) for name, reason in reasons.items() if reason)
        share = f"{self.fixed_ratio:.0%}"
        note = f"{self.name} always removes {share} of a layer, whatever ratio and allocation were asked."
        return Outcome(plans, kept_dense, (note,))

    def _reason(self, task: Task, layer: LayerInfo) -> str | None:
        channels = layer.geometry.in_channels // layer.geometry.groups
        if channels % self.m:
            return f"{channels} input channels do not divide into groups of {self.m}"
        asked = task.fixed.get(layer.name, 0.0 if task.spec.allocation == "explicit" else task.spec.ratio)
        return "its ratio is 0" if asked == 0 else None

    def _layer(self, layer: LayerInfo, values: Tensor) -> LayerPlan:
        kernel = layer.geometry.kernel
        keep = best_of_groups(values, kernel[0] * kernel[1], n=self.n, m=self.m)
        mask = Mask.of_columns(keep, layer.own_order, TileShape(1))
        return LayerPlan(layer.name, (layer.rows, layer.columns), self.fixed_ratio, mask)


TWO_OF_FOUR = NOfM(
    name="2:4",
    title="2:4 (accuracy reference)",
    label="2:4",
    description=(
        "Keeps the best two of every four neighbouring input channels in each filter, always half of the "
        "weights: the pattern of NVIDIA's sparse tensor cores. An accuracy reference: no engine here runs it "
        "faster than dense. [baseline, not of the paper]"
    ),
    n=2,
    m=4,
)
