"""How far each layer of a pruned network answers from what it answered in the original one."""

from __future__ import annotations

from collections import deque
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
    wanted outputs has 0, one that gives zeros 1. The outputs of all these layers for one batch are held at
    once, so batches are better small. Raises Stopped.
    """
    wrong, energy = dict.fromkeys(names, 0.0), dict.fromkeys(names, 0.0)
    wanted: dict[str, deque[Tensor]] = {name: deque() for name in names}

    def keep(name: str, output: Tensor) -> None:
        wanted[name].append(output.clone())  # an activation that follows may work in place

    def compare(name: str, output: Tensor) -> None:
        before = wanted[name].popleft()
        wrong[name] += float((output - before).double().square().sum())
        energy[name] += float(before.double().square().sum())

    for batch in batches:
        if should_stop():
            raise Stopped
        with torch.inference_mode():
            for module, note in ((original, keep), (pruned, compare)):
                with _telling(module, names, note):
                    module(batch)
    return {name: (wrong[name] / energy[name]) ** 0.5 for name in names if energy[name]}


@contextmanager
def _telling(
    module: nn.Module, names: Collection[str], note: Callable[[str, Tensor], None]
) -> Iterator[None]:
    """Forward passes inside tell `note` the output of every call of the layers called `names`."""
    hooks = [
        module.get_submodule(name).register_forward_hook(
            lambda _layer, _args, output, name=name: note(name, output)  # type: ignore[misc]
        )
        for name in names
    ]
    with attached(hooks):
        yield
