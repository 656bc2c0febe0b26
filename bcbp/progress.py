"""How far a long run is: a value to show, and the tracker that computes it from steps of known rough cost."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

WAITING, RUNNING, DONE, FAILED = "waiting", "running", "done", "failed"

# Before this share of the work is done, elapsed time says too little about the rest to be extrapolated.
_SHARE_TO_EXTRAPOLATE = 0.05


@dataclass(frozen=True)
class Step:
    """One line of the list of things to do: waiting, running, done or failed."""

    label: str
    state: str = WAITING


@dataclass(frozen=True)
class Progress:
    """`fraction` in [0, 1], the running step as `stage`, what it does now, and the time left where known."""

    fraction: float = 0.0
    stage: str = ""
    message: str = ""
    seconds_left: float | None = None
    steps: tuple[Step, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Progress:
        """Inverse of `to_json`."""
        steps = tuple(Step(step["label"], step["state"]) for step in data["steps"])
        return cls(**{**data, "steps": steps})


class Tracker:
    """Follows steps in order. `planned` gives each step's label and rough cost, in any one unit.

    The time left is the elapsed time per planned unit, times the units left: only the proportions of the
    costs need to be about right.
    """

    def __init__(
        self,
        planned: Sequence[tuple[str, float]],
        report: Callable[[Progress], None],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._costs = [cost for _, cost in planned]
        self._steps = [Step(label) for label, _ in planned]
        self._report, self._clock = report, clock
        self._current, self._began = -1, clock()

    def begin(self, message: str = "") -> None:
        """Close the running step, if any, and open the next."""
        self._close(DONE)
        self._current += 1
        self._steps[self._current] = replace(self._steps[self._current], state=RUNNING)
        self.update(0.0, message)

    def update(self, share: float, message: str = "") -> None:
        """The running step is `share` done."""
        done = sum(self._costs[: self._current]) + share * self._costs[self._current]
        fraction = done / sum(self._costs)
        stage = self._steps[self._current].label
        self._report(Progress(fraction, stage, message, self._left(fraction), tuple(self._steps)))

    def finish(self) -> None:
        """Everything is done."""
        self._close(DONE)
        self._report(Progress(1.0, "Done", "", 0.0, tuple(self._steps)))

    def fail(self, message: str) -> None:
        """The running step could not be finished; steps after it stay waiting."""
        self._close(FAILED)
        done = sum(self._costs[: max(self._current, 0)]) / sum(self._costs)
        stage = self._steps[max(self._current, 0)].label
        self._report(Progress(done, stage, message, None, tuple(self._steps)))

    def _close(self, state: str) -> None:
        if 0 <= self._current < len(self._steps):
            self._steps[self._current] = replace(self._steps[self._current], state=state)

    def _left(self, fraction: float) -> float | None:
        if fraction < _SHARE_TO_EXTRAPOLATE:
            return None
        return (self._clock() - self._began) * (1 - fraction) / fraction
