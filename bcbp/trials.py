"""Networks that differ from a dense one from some layer on, run from that layer on.

What comes before a pruned layer is the same as dense. Of a network that can be traced it is computed once per
layer and batch; any other runs whole each time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn

from bcbp.norms import keeps_statistics
from bcbp.tracing import UntraceableError, trace


class Trials:
    """`module` is what trials are changed copies of; `batches` are the images that they are run on."""

    def __init__(self, module: nn.Module, batches: Sequence[Tensor]) -> None:
        self._batches = batches
        self._order = call_order(module, batches[0][:1])
        try:
            traced = trace(module)
        except UntraceableError:
            self.module, self._graph = module, None
        else:
            self.module, self._graph = traced, traced.graph
        # Per batch the value of every node before the layer: None where nothing reads it any more.
        self._known: list[dict[fx.Node, Any]] = [{} for _ in batches]

    @torch.no_grad()
    def advance(self, name: str) -> None:
        """From here on trials differ from that layer on. Layers come in the order of their first call."""
        if self._graph is None or all(node.target != name for node in self._graph.nodes):
            self._known = [{} for _ in self._batches]  # not a node of its own: everything runs
            return
        for batch, known in zip(self._batches, self._known, strict=True):
            run = fx.Interpreter(self.module, graph=self._graph)
            run.env = known
            for node in self._graph.nodes:
                if node.target == name:
                    break
                if node not in known:
                    known[node] = batch if node.op == "placeholder" else run.run_node(node)
                    known.update(dict.fromkeys(run.user_to_last_uses.get(node, ())))

    @torch.no_grad()
    def run(self, trial: nn.Module, index: int) -> Tensor:
        """The output of `trial`, a changed copy of `module`, for one of the batches."""
        if self._graph is None:
            return trial(self._batches[index])
        run = fx.Interpreter(trial, graph=self._graph)
        return run.run(self._batches[index], initial_env=dict(self._known[index]))

    def norms_from(self, trial: nn.Module, name: str) -> list[nn.Module]:
        """The batch norms of `trial` that are first called after that layer."""
        later = self._order[self._order.index(name) :]
        return [child for one in later if keeps_statistics(child := trial.get_submodule(one))]


def call_order(module: nn.Module, image: Tensor) -> tuple[str, ...]:
    """The names of the modules without children in the order of their first call."""
    called: dict[str, None] = {}

    def noting(name: str) -> Callable[..., None]:
        return lambda *_: called.setdefault(name)

    leaves = [(name, child) for name, child in module.named_modules() if not list(child.children())]
    hooks = [child.register_forward_pre_hook(noting(name)) for name, child in leaves]
    try:
        with torch.no_grad():
            module(image)
    finally:
        for hook in hooks:
            hook.remove()
    return tuple(called)
