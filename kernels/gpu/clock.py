"""The GPU's clock for kernels.measure: events on the device around captured graphs or single calls.

A host clock sees a kernel launched, not ended, and at batch 1 it sees little but launches. Events are
recorded by the device itself. A captured graph replays calls without the host between them, which is how
networks run here; single calls show what an eager user waits for.

No cache is emptied between calls. Inside a network a layer finds its inputs where the layer before it has
just written them, and its weights in the second cache if those of the whole network fit there. Where they do
not fit, a layer timed alone is too fast, and the dense one, which reads more of them, the most: speed-ups are
then too low, not too high. Whole networks are timed as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import cycle
from typing import Any

import torch

from kernels.gpu.graph import captured

Run = Callable[[], object]
# Calls in one graph: enough that its own launch, some microseconds, is a small share of the shortest calls.
CALLS_PER_GRAPH = 32


class GpuTimer:
    """A Timer of kernels.measure. Keeps the graphs it captured, and so is made anew for each session.

    `graph` replays captured calls, else they are made one by one. `cuda` and `capture` are torch.cuda and
    what records a graph, or doubles of them.
    """

    def __init__(
        self,
        *,
        graph: bool = True,
        cuda: Any = torch.cuda,
        capture: Callable[[Callable[[], None]], Run] = captured,
    ) -> None:
        self._graph, self._cuda, self._capture = graph, cuda, capture
        self._replays: dict[tuple[Run, int], Run] = {}

    def __call__(self, run: Run, inner: int) -> float:
        """Seconds per call over at least `inner` calls, after an untimed one."""
        calls = min(inner, CALLS_PER_GRAPH)
        launch = self._replay(run, calls) if self._graph else run
        launches = -(-inner // calls) if self._graph else inner
        launch()
        return self._between_events(launch, launches) / (launches * calls if self._graph else launches)

    def _between_events(self, launch: Run, times: int) -> float:
        begin, end = (self._cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        for _ in range(times):
            launch()
        end.record()
        end.synchronize()
        return float(begin.elapsed_time(end)) * 1e-3

    def _replay(self, run: Run, calls: int) -> Run:
        """What launches `calls` calls as one graph, captured on the first demand."""
        if (run, calls) not in self._replays:

            def several() -> None:
                for _ in range(calls):
                    run()

            self._replays[run, calls] = self._capture(several)
        return self._replays[run, calls]


def rotated(runs: Sequence[Run]) -> Run:
    """One call that goes through `runs` in turn: the same work on several sets of buffers.

    Buffers that fit into the second cache would else be found there by every call after the first.
    """
    turns = cycle(runs)
    return lambda: next(turns)()
