"""The networks that are timed against each other: built, labelled with what runs, and checked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from bcbp.baselines import Declined, DenseCandidate, dense_candidates
from bcbp.choice import DENSE, LayerRun
from bcbp.intake.model import LoadedModel
from bcbp.masking import apply_plan
from bcbp.patterns import PATTERNS
from bcbp.plan import PruningPlan
from bcbp.rows import key_of_spec
from bcbp.runtime import Runtime
from bcbp.surgery import shrink
from kernels.engines import engine
from kernels.measure import fastest


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


def dense_contestants(
    model: LoadedModel, x: Tensor, runtime: Runtime
) -> tuple[list[Contestant], dict[str, str]]:
    """The dense network in every form that can win here, for inputs like `x`; who declined, and why."""
    candidates, declined = _dense_forms(model.module, x, runtime)
    built = [Contestant(one.name, one.run, f"dense ({one.name})") for one in candidates]
    correct, wrong = _checked(built, model.module, x, runtime)
    return correct, dict(declined) | wrong


def pruned_contestant(
    model: LoadedModel, plan: PruningPlan, x: Tensor, runtime: Runtime
) -> tuple[list[Contestant], dict[str, str]]:
    """The network that a plan leaves, for inputs like `x`; or nothing, and the reason."""
    try:
        built = _build(model, plan, x, runtime)
    except Declined as reason:
        return [], {key_of_spec(plan.spec): f"not timed: {reason}"}
    return _checked([built], apply_plan(model, plan), x, runtime)


def _build(model: LoadedModel, plan: PruningPlan, x: Tensor, runtime: Runtime) -> Contestant:
    """Physically smaller where the pattern changes shapes, else on the engines of pruned layers."""
    if PATTERNS[plan.spec.pattern].changes_shapes:
        return _build_smaller(model, plan, x, runtime)
    packed = runtime.pack(model.module, plan, shape=tuple(x.shape))
    return Contestant(key_of_spec(plan.spec), packed.run, engine_label(packed.layers, plan), packed.layers)


def _build_smaller(model: LoadedModel, plan: PruningPlan, x: Tensor, runtime: Runtime) -> Contestant:
    """The smaller network in the fastest of the forms that dense may take too."""
    candidates, declined = _dense_forms(shrink(model.module, plan), x, runtime)
    if not candidates:
        raise Declined(f"no form of the smaller network runs here: {dict(declined)}")
    runs = {one.name: one.run for one in candidates}
    with torch.no_grad():
        best = fastest({name: partial(run, x) for name, run in runs.items()}, timer=runtime.timer())
    layers = tuple(LayerRun(layer.name, DENSE, "physically smaller, runs dense") for layer in plan)
    return Contestant(key_of_spec(plan.spec), runs[best], f"dense ({best}), physically smaller", layers)


def _dense_forms(
    module: nn.Module, x: Tensor, runtime: Runtime
) -> tuple[tuple[DenseCandidate, ...], tuple[tuple[str, str], ...]]:
    return dense_candidates(module, forms=runtime.forms, input_shape=tuple(x.shape[1:]), batch=len(x))


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
    contestants: list[Contestant], reference: nn.Module, x: Tensor, runtime: Runtime
) -> tuple[list[Contestant], dict[str, str]]:
    """Those whose output on `x` is the reference's, and the others with how far they are off."""
    allowed = runtime.tolerance(reference)
    with torch.no_grad():
        expected = runtime.reference(reference)(x)
        errors = {one.name: relative_error(one.run(x), expected) for one in contestants}
    wrong = {
        name: f"not timed: its output is off by {error:.2g} of the largest one, more than {allowed:.2g}"
        for name, error in errors.items()
        if not error <= allowed
    }
    return [one for one in contestants if one.name not in wrong], wrong


def relative_error(found: Tensor, expected: Tensor) -> float:
    """The largest difference as a share of the largest expected value; infinite for another shape."""
    if found.shape != expected.shape:
        return float("inf")
    return float((found - expected).abs().max() / expected.abs().max())
