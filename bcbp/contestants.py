"""The networks that are timed against each other: built, labelled with what runs, and checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from bcbp.baselines import dense_candidates
from bcbp.choice import DENSE, LayerRun
from bcbp.intake.model import LoadedModel
from bcbp.network import apply_plan, convert
from bcbp.patterns import PATTERNS
from bcbp.plan import PruningPlan
from bcbp.surgery import shrink
from kernels.engines import engine
from kernels.measure import measure

# Of the largest output. Rounding through tens of fp32 layers moves outputs by some 1e-5 of it, a wrong
# column or a lost epilogue by a tenth and more.
TOLERANCE = 1e-3

# Enough to find the fastest of a few forms of one network.
_SCOUT_ROUNDS = 3

# Patterns that leave single weights, which no engine on a CPU turns into time.
NO_ENGINE = {
    "unstructured": "single weights are scattered: no engine here runs them faster than dense",
    "2:4": "needs the sparse tensor cores of a GPU",
}


@dataclass(frozen=True, eq=False)
class Contestant:
    """A network ready to be timed; `engine` says in words what runs, `layers` which engine each layer got."""

    name: str
    run: Callable[[Tensor], Tensor]
    engine: str
    layers: tuple[LayerRun, ...] = ()

    @property
    def speed_claim(self) -> bool:
        """False where an engine ran whose time says nothing about pruning."""
        return all(engine(layer.engine).speed_claim for layer in self.layers)


def dense_contestants(model: LoadedModel, x: Tensor) -> tuple[list[Contestant], dict[str, str]]:
    """The dense network in every form that can win here, for inputs like `x`; who declined, and why."""
    candidates, declined = dense_candidates(model.module, input_shape=model.input_shape, batch=len(x))
    built = [Contestant(one.name, one.run, f"dense ({one.name})") for one in candidates]
    correct, wrong = _checked(built, model.module, x)
    return correct, dict(declined) | wrong


def pruned_contestant(
    model: LoadedModel, plan: PruningPlan, x: Tensor
) -> tuple[list[Contestant], dict[str, str]]:
    """The network that a plan leaves, for inputs like `x`; or nothing, and the reason."""
    return _checked([_build(model, plan, x)], apply_plan(model, plan), x)


def _build(model: LoadedModel, plan: PruningPlan, x: Tensor) -> Contestant:
    """Physically smaller where the pattern changes shapes, else on the tile engine."""
    if PATTERNS[plan.spec.pattern].changes_shapes:
        return _build_smaller(model, plan, x)
    packed = convert(model.module, plan, input_shape=model.input_shape, batch=len(x))
    return Contestant(plan.spec.pattern, packed, engine_label(packed.layers, plan), packed.layers)


def _build_smaller(model: LoadedModel, plan: PruningPlan, x: Tensor) -> Contestant:
    """The smaller network in the fastest of the forms that dense may take too."""
    small = shrink(model.module, plan)
    candidates, _ = dense_candidates(small, input_shape=model.input_shape, batch=len(x))
    runs = {one.name: one.run for one in candidates}
    best = fastest({name: partial(run, x) for name, run in runs.items()})
    layers = tuple(LayerRun(layer.name, DENSE, "physically smaller, runs dense") for layer in plan)
    return Contestant(plan.spec.pattern, runs[best], f"dense ({best}), physically smaller", layers)


def fastest(runs: Mapping[str, Callable[[], object]]) -> str:
    """The name of the fastest of `runs` after a few rounds."""
    with torch.no_grad():
        scouted = measure(dict(runs), baseline=next(iter(runs)), rounds=_SCOUT_ROUNDS)
    return min(runs, key=lambda name: scouted[name].median)


def engine_label(layers: tuple[LayerRun, ...], plan: PruningPlan) -> str:
    """The engines of the planned layers, most used first: "cpu-tiles (9 of 10 layers), dense (1)"."""
    planned = {layer.name for layer in plan}
    used = [layer.engine for layer in layers if layer.name in planned]
    counts = sorted(((used.count(name), name) for name in set(used)), reverse=True)
    if len(counts) == 1:
        return counts[0][1]
    first, *rest = counts
    others = ", ".join(f"{name} ({count})" for count, name in rest)
    return f"{first[1]} ({first[0]} of {len(used)} layers), {others}"


def _checked(
    contestants: list[Contestant], reference: nn.Module, x: Tensor
) -> tuple[list[Contestant], dict[str, str]]:
    """Those whose output on `x` is the reference's, and the others with how far they are off."""
    with torch.no_grad():
        expected = reference(x)
        errors = {one.name: relative_error(one.run(x), expected) for one in contestants}
    wrong = {
        name: f"not timed: its output is off by {error:.2g} of the largest one, more than {TOLERANCE:g}"
        for name, error in errors.items()
        if not error <= TOLERANCE
    }
    return [one for one in contestants if one.name not in wrong], wrong


def relative_error(found: Tensor, expected: Tensor) -> float:
    """The largest difference as a share of the largest expected value; infinite for another shape."""
    if found.shape != expected.shape:
        return float("inf")
    return float((found - expected).abs().max() / expected.abs().max())
