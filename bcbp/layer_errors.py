"""How far each layer of a pruned network answers from what it answered in the original one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from bcbp.walk import attached
from kernels.measure import Stopped


def layer_errors(
    original: nn.Module,
    pruned: nn.Module,
    batches: Sequence[Tensor],
    names: Collection[str],
    *,
    should_stop: Callable[[], bool] = lambda: False,
) -> dict[str, float]:
    """Relative error of the outputs of the layers called `names`: ‖Ŷ - Y‖ / ‖Y‖ over all of `batches`.

    Each network runs as a whole, so an error holds what the layers before add to it. A layer that gives the
    wanted outputs has 0, one that gives zeros 1. Raises Stopped.
    """
    wrong, energy = dict.fromkeys(names, 0.0), dict.fromkeys(names, 0.0)
    for batch in batches:
        if should_stop():
            raise Stopped
        with _outputs(original, names) as wanted, _outputs(pruned, names) as given, torch.inference_mode():
            original(batch)
            pruned(batch)
        for name in wanted:
            for now, before in zip(given[name], wanted[name], strict=True):
                wrong[name] += float((now - before).double().square().sum())
                energy[name] += float(before.double().square().sum())
    return {name: (wrong[name] / energy[name]) ** 0.5 for name in names if energy[name]}


@contextmanager
def _outputs(module: nn.Module, names: Collection[str]) -> Iterator[dict[str, list[Tensor]]]:
    """What the layers called `names` give in the forward passes inside, one tensor a call."""
    outputs: dict[str, list[Tensor]] = {name: [] for name in names}
    hooks = [
        module.get_submodule(name).register_forward_hook(
            # A copy: an activation that follows may work in place.
            lambda _layer, _args, output, name=name: outputs[name].append(output.clone())  # type: ignore[misc]
        )
        for name in names
    ]
    with attached(hooks):
        yield outputs
