"""Filter pruning: whole filters go, and the layers that read them lose the matching input channels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import torch

from bcbp.allocation import ALLOCATIONS
from bcbp.geometry import LayerInfo, TileShape
from bcbp.mask import Mask
from bcbp.patterns.base import Outcome, Task, allocate
from bcbp.plan import LayerPlan
from bcbp.scores import ScorePool

NOT_INNER = (
    "its output channels are summed, concatenated or read in a way that needs them all, so its filters stay; "
    "and no layer that loses filters feeds it"
)
# Halvings of [0, 1]: 2^-16 is finer than one filter of any layer that fits in memory.
_HALVINGS = 16


@dataclass(frozen=True)
class Flow:
    """The layers of a filter plan, and how they are joined: `producer_of` maps a consumer to its producer."""

    layers: tuple[LayerInfo, ...]
    producers: frozenset[str]
    producer_of: Mapping[str, str]

    @classmethod
    def of(cls, task: Task) -> Flow:
        """Producers are the inner layers in scope; consumers belong to the plan even if they are excluded."""
        scope = {layer.name for layer in task.layers}
        inner = task.book.inner
        known = {layer.name for layer in task.book.model.layers}
        joined = {name: inner[name] for name in inner if name in scope and known.issuperset(inner[name])}
        producer_of = {consumer: name for name, consumers in joined.items() for consumer in consumers}
        layers = tuple(
            layer for layer in task.book.model.layers if layer.name in scope or layer.name in producer_of
        )
        return cls(layers, frozenset(joined), producer_of)

    def sparsity(self, filters: Mapping[str, int]) -> float:
        """Share of weights removed when every producer keeps `filters[name]` of its rows."""
        rows = {layer.name: layer.rows for layer in self.layers}
        kept = total = 0.0
        for layer in self.layers:
            producer = self.producer_of.get(layer.name)
            columns = filters[producer] / rows[producer] if producer else 1.0
            kept += filters.get(layer.name, layer.rows) * layer.columns * columns
            total += layer.weights
        return 1 - kept / total


def keep_filters(ratio: float, *, task: Task, pool: ScorePool) -> dict[str, int]:
    """Filters that each producer keeps when `ratio` of all their filters go; at least one each."""
    budgets = allocate(task, pool, ratio)
    return {layer.name: max(1, -(-budgets[layer.name] // int(layer.weights[0]))) for layer in pool.layers}


def meet_ratio(flow: Flow, *, task: Task, pool: ScorePool) -> dict[str, int]:
    """Filters kept by each producer so that the plan comes nearest to the asked ratio, by bisection."""
    count = partial(keep_filters, task=task, pool=pool)
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if flow.sparsity(count(middle)) < task.spec.ratio:
            low = middle
        else:
            high = middle
    candidates = [count(low), count(min(high, 1 - 2**-_HALVINGS))]
    return min(candidates, key=lambda filters: abs(flow.sparsity(filters) - task.spec.ratio))


@dataclass(frozen=True)
class Filters:
    """Inner layers lose their weakest filters, their consumers the matching columns."""

    name: str = "filter"
    title: str = "Filters"
    label: str = "filter"
    description: str = (
        "Drops whole filters of inner layers, and the matching inputs of the layers that read them: the "
        "network becomes physically smaller. The share of filters is such that the whole plan meets the "
        "asked ratio. [baseline; our definition]"
    )
    changes_shapes: bool = True
    fixed_ratio: float | None = None
    no_permutation: str = "whole filters go, in whichever tile they are"

    def prune(self, task: Task) -> Outcome:
        flow = Flow.of(task)
        pool = task.book.filters.only(flow.producers)
        follows = ALLOCATIONS[task.spec.allocation].follows_ratio
        exact = not follows or flow.producers <= set(task.fixed)
        filters = keep_filters(0.0, task=task, pool=pool) if exact else meet_ratio(flow, task=task, pool=pool)
        masks = self._masks(task, flow, filters)
        plans = tuple(
            LayerPlan(layer.name, mask.shape, mask.sparsity, mask)
            for layer, mask in zip(flow.layers, masks, strict=True)
        )
        touched = flow.producers | set(flow.producer_of)
        kept_dense = tuple((layer.name, NOT_INNER) for layer in flow.layers if layer.name not in touched)
        return Outcome(plans, kept_dense, self._notes(task, flow, filters))

    def _masks(self, task: Task, flow: Flow, filters: Mapping[str, int]) -> list[Mask]:
        rows = {
            layer.name: task.book.filters[layer.name].select(filters[layer.name] * layer.columns)[:, 0]
            if layer.name in filters
            else torch.ones(layer.rows, dtype=torch.bool)
            for layer in task.book.model.layers
        }
        tile = TileShape(task.spec.tile)
        masks = []
        for layer in flow.layers:
            columns = torch.ones(layer.columns, dtype=torch.bool)
            if layer.name in flow.producer_of:
                alive = rows[flow.producer_of[layer.name]]
                columns = alive.repeat_interleave(layer.columns // len(alive))
            masks.append(Mask(columns.repeat(tile.count(layer.rows), 1), rows[layer.name], tile))
        return masks

    def _notes(self, task: Task, flow: Flow, filters: Mapping[str, int]) -> tuple[str, ...]:
        scope = {layer.name for layer in task.layers}
        notes = [
            f"{name} is excluded, but it loses the inputs that {producer} no longer makes."
            for name, producer in flow.producer_of.items()
            if name not in scope
        ]
        notes += [
            f"{name} cannot lose filters, so its own ratio does not apply: its outputs are needed elsewhere."
            for name, ratio in task.spec.ratios
            if ratio and name not in flow.producers
        ]
        if not flow.producers:
            notes.append("No layer can lose filters: none is inner, or the network cannot be traced.")
        reached = flow.sparsity(filters)
        if ALLOCATIONS[task.spec.allocation].follows_ratio and abs(reached - task.spec.ratio) > 0.01:
            notes.append(
                f"Asked for {task.spec.ratio:.1%}, reached {reached:.1%}: as near as whole filters come."
            )
        return tuple(notes)


FILTERS = Filters()
