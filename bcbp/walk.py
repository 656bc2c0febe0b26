"""A network walked through layer by layer with all images at hand: what each layer is given, as it is now."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

import torch
from torch import Tensor, fx, nn
from torch.utils.hooks import RemovableHandle

from bcbp.tracing import UntraceableError, trace
from kernels.measure import Stopped

ShouldStop = Callable[[], bool]


class Walk(Protocol):
    """Modules are asked for in the order of execution; each may change its own weights once it is reached."""

    def inputs(self, name: str) -> Iterator[Tensor]:
        """What module `name` is given, one batch of images after the other."""
        ...


def walk(module: nn.Module, batches: Sequence[Tensor], should_stop: ShouldStop) -> Walk:
    """A walk in one pass; for a network that cannot be traced, in a shortened pass per module asked for.

    Both raise Stopped between two batches when `should_stop` says so.
    """
    try:
        return TracedWalk(module, batches, should_stop)
    except UntraceableError:
        return RepeatedWalk(module, batches, should_stop)


class TracedWalk:
    """Every operation once, for all batches, before the next; values are freed after their last use."""

    def __init__(self, module: nn.Module, batches: Sequence[Tensor], should_stop: ShouldStop) -> None:
        traced = trace(module)
        self._nodes = list(traced.graph.nodes)
        self._spent = _last_uses(self._nodes)
        self._runs = [_run_of(traced, batch) for batch in batches]
        self._should_stop = should_stop
        self._next = 0

    def inputs(self, name: str) -> Iterator[Tensor]:
        while (node := self._nodes[self._next]).op != "call_module" or node.target != name:
            self._step(node)
        return (run.env[node.args[0]] for run in self._runs)

    @torch.no_grad()
    def _step(self, node: fx.Node) -> None:
        for run in self._runs:
            if self._should_stop():
                raise Stopped
            if node.op != "placeholder":
                run.env[node] = run.run_node(node)
            for value in self._spent[node]:
                del run.env[value]
        self._next += 1


def _run_of(traced: fx.GraphModule, batch: Tensor) -> fx.Interpreter:
    run = fx.Interpreter(traced, garbage_collect_values=False)
    run.env = {node: batch for node in traced.graph.nodes if node.op == "placeholder"}
    return run


def _last_uses(nodes: Sequence[fx.Node]) -> dict[fx.Node, list[fx.Node]]:
    """The values that each node is the last to read."""
    last = {value: node for node in nodes for value in node.all_input_nodes}
    spent: dict[fx.Node, list[fx.Node]] = {node: [] for node in nodes}
    for value, node in last.items():
        spent[node].append(value)
    return spent


class _Reached(Exception):
    """Carries the input of the module that was asked for out of the forward pass."""

    def __init__(self, value: Tensor) -> None:
        super().__init__()
        self.value = value


class RepeatedWalk:
    """The slow twin: for each module asked for, the forward pass again up to there."""

    def __init__(self, module: nn.Module, batches: Sequence[Tensor], should_stop: ShouldStop) -> None:
        self._module, self._batches, self._should_stop = module, batches, should_stop

    def inputs(self, name: str) -> Iterator[Tensor]:
        for batch in self._batches:
            if self._should_stop():
                raise Stopped
            yield self._input(name, batch)

    @torch.no_grad()
    def _input(self, name: str, batch: Tensor) -> Tensor:
        def leave(_module: nn.Module, args: tuple[Tensor, ...]) -> None:
            raise _Reached(args[0])

        with attached([self._module.get_submodule(name).register_forward_pre_hook(leave)]):
            try:
                self._module(batch)
            except _Reached as reached:
                return reached.value
        raise AssertionError(f"{name} is not called")


@contextmanager
def attached(hooks: Collection[RemovableHandle]) -> Iterator[None]:
    """Hooks that are gone afterwards, whatever happens."""
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def called_once(module: nn.Module, example: Tensor, names: Collection[str]) -> list[str]:
    """Those of `names` that a forward pass of `example` calls exactly once, in the order of execution."""
    called: list[str] = []
    hooks = [
        module.get_submodule(name).register_forward_pre_hook(lambda *_, name=name: called.append(name))  # type: ignore[misc]
        for name in names
    ]
    with attached(hooks), torch.no_grad():
        module(example)
    counts = Counter(called)
    return [name for name in called if counts[name] == 1]


def waiting_bytes(module: nn.Module, example: Tensor) -> int:
    """About what waits between two operations, per image of `example`: the two largest outputs of a pass."""
    sizes = [0, 0]
    hooks = [
        child.register_forward_hook(lambda _layer, _args, output: sizes.append(output.nbytes // len(example)))
        for child in module.modules()
        if not list(child.children())
    ]
    with attached(hooks), torch.no_grad():
        module(example)
    return sum(sorted(sizes)[-2:])
