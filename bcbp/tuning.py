"""Times the launches of a network's layers once, so that building the network later finds them remembered."""

from __future__ import annotations

from collections.abc import Callable

import torch

from bcbp.intake.model import LoadedModel
from bcbp.lowering import lower
from bcbp.masking import masked_copy
from bcbp.plan import PruningPlan
from bcbp.tracing import trace
from kernels.gpu.choice import Choice, choose
from kernels.gpu.map_layer import MapLayer, Maps
from kernels.gpu.program import Program
from kernels.measure import Stopped
from kernels.precision import Precision

OnLayer = Callable[[int, int, str], None]


@torch.inference_mode()
def tune_network(
    model: LoadedModel,
    plan: PruningPlan,
    *,
    images: int,
    precision: Precision,
    device: torch.device,
    on_layer: OnLayer,
    should_stop: Callable[[], bool],
    again: bool = False,
) -> dict[str, Choice]:
    """What runs each layer of the pruned model for so many images, by name, measured where not remembered.

    `again` measures what is remembered too. `on_layer` gets the number of layers done, of all, and the name
    of the next. Raises Stopped when `should_stop` says so: layers done are remembered. Raises ModelError
    where the network has no fixed graph.
    """
    traced = trace(masked_copy(model.module, plan), model.input_shape)
    masks = {planned.name: planned.mask for planned in plan}
    recipe = lower(traced, masks, precision=precision, device=device)
    names = [step.name for step in recipe.steps if isinstance(step.operation, MapLayer)]
    chosen: dict[str, Choice] = {}

    def watched(layer: MapLayer, maps: Maps) -> Choice:
        if should_stop():
            raise Stopped
        name = names[len(chosen)]
        on_layer(len(chosen), len(names), name)
        chosen[name] = choose(layer, maps, again=again)
        return chosen[name]

    Program(recipe, images=images, device=device, choose=watched)
    return chosen
