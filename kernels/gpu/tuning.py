"""The tuner: for a layer on its maps, a few launches that can win, timed once on this kind of card.

Launches within the limits are ranked by the cost model; at most MOST_CANDIDATES of them are timed, together
with other walks of the best and the operators that need no launch sizes, in one interleaved session on the
GPU's clock. What came out is
remembered. Joining narrow pruning tiles to a wide launch is one of the sizes ranked here: it multiplies
more, and reads the inputs less often.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import product

import torch
import triton
from triton.compiler.errors import CompilationError
from triton.runtime.errors import OutOfResources, PTXASError

from kernels.device import now
from kernels.gpu.answers import Answer, Answers, Timed, key_of
from kernels.gpu.card import Card, this_card
from kernels.gpu.clock import GpuTimer
from kernels.gpu.cost_model import gathered_seconds, streaming_seconds
from kernels.gpu.engine import SAFE
from kernels.gpu.graph import captured
from kernels.gpu.launch import LaunchConfig
from kernels.gpu.limits import GATHERED_LIMITS, STREAMING_LIMITS, Limit, reason_against, thread_blocks
from kernels.gpu.map_layer import MapLayer, Maps
from kernels.gpu.operators import GATHERED, OPERATORS, STREAMING, Run
from kernels.gpu.work import WIDTHS, Work, problem_of, work_of
from kernels.measure import Timer, measure

MOST_CANDIDATES = 6
# Of launches that differ only in columns at a time, warps, stages or swapped operands so many are timed.
_MOST_ALIKE = 2
# What width is worth, cache traffic against added columns, the model knows least: within this factor, each
# width is tried.
_PLAUSIBLE = 1.5
_BLOCKS_N, _BLOCKS_K, _WARPS, _STAGES, _SPLITS = (64, 128, 256), (32, 64), (4, 8), (2, 3, 4), (1, 2, 4, 8)
# Position tiles that are walked together, beside the usual number.
_OTHER_GROUPS = (1, 32)
# Enough for a choice: a wrong one costs at most what the candidates differ by.
_ROUNDS, _SAMPLE_SECONDS = 7, 0.001
# What a launch raises that the limits did not keep away: too much shared memory, no such instruction, and as
# RuntimeError whatever the compiler's passes, the driver, cuDNN, cuSPARSELt or a capture refuse. Offsets that
# do not fit 32 bits are a ValueError: another operator may take those maps.
_UNFIT = (OutOfResources, CompilationError, PTXASError, RuntimeError, ValueError)
_LONGEST_REASON = 160


@dataclass(frozen=True)
class Candidate:
    """An operator of OPERATORS, how it is launched, and the seconds the cost model gives a tiled one."""

    engine: str
    config: LaunchConfig | None
    predicted: float = 0.0

    @property
    def name(self) -> str:
        return self.engine if self.config is None else f"{self.engine}, {self.config}"


# Which launches each tiled operator may take, and what the model says of them.
_TILED: dict[str, tuple[Sequence[Limit], Callable[[LaunchConfig, Work, Card], float]]] = {
    GATHERED: (GATHERED_LIMITS, gathered_seconds),
    STREAMING: (STREAMING_LIMITS, streaming_seconds),
}


class Tuner:
    """Answers for one card. `timer` makes the clock of a session."""

    def __init__(self, card: Card, answers: Answers, *, timer: Callable[[], Timer] = GpuTimer) -> None:
        self.card, self.answers, self._timer = card, answers, timer
        self._mine: dict[str, tuple[Answer, str]] = {}

    def answer(self, layer: MapLayer, maps: Maps, *, again: bool = False) -> tuple[Answer, str]:
        """The remembered answer, else (or if `again`, or if that one is noisy) a measured one.

        With it comes a warning, mostly empty. A problem is measured once by a tuner, whatever came out, as
        networks repeat their layers. Measuring runs the candidates on `maps`: `y` is overwritten, and inputs
        should hold random values. Raises ValueError where the card refuses every candidate.
        """
        work = work_of(layer, maps)
        problem = problem_of(layer, maps, work)
        if problem in self._mine:
            return self._mine[problem]
        known, warning = self.answers.find(problem)
        if known is not None and not known.noisy and not again:
            return known, warning
        answer = self._measured(problem, candidates(layer, maps, work, self.card), layer, maps)
        failed = self.answers.remember(answer)
        self._mine[problem] = answer, "; ".join(filter(None, (warning, failed)))
        return self._mine[problem]

    def _measured(self, problem: str, chosen: Sequence[Candidate], layer: MapLayer, maps: Maps) -> Answer:
        runs, refused = runnable_ones(chosen, layer, maps)
        if not runs:
            raise ValueError(f"expected a launch that this card runs, got {'; '.join(refused)}")
        named = {one.name: run for one, run in runs.items()}
        times = measure(
            named,
            baseline=next(iter(named)),
            rounds=_ROUNDS,
            sample_seconds=_SAMPLE_SECONDS,
            timer=self._timer(),
        )
        timed = [
            Timed(one.engine, one.config, *(1e3 * value for value in (taken.median, taken.q1, taken.q3)))
            for one in runs
            for taken in (times[one.name],)
        ]
        noisy = any(taken.noisy for taken in times.values())
        return Answer(problem, tuple(timed), now(), noisy, refused=refused)


@cache
def this_tuner(index: int = 0) -> Tuner:
    """The tuner of the GPU of that number, one for the whole process."""
    card, cudnn = this_card(index), torch.backends.cudnn.version()
    key = key_of(card.slug, triton=triton.__version__, torch=str(torch.__version__), cudnn=cudnn)
    return Tuner(card, Answers(key))


def candidates(layer: MapLayer, maps: Maps, work: Work, card: Card) -> list[Candidate]:
    """What is worth timing: operators without launch sizes, the best ranked launches, and other walks."""
    takes = [name for name, operator in OPERATORS.items() if operator.declines(layer, maps) is None]
    plain = [Candidate(name, None) for name in takes if not OPERATORS[name].tiled]
    tiled = ranked([name for name in takes if OPERATORS[name].tiled], work, card)
    return plain + tiled + other_walks(tiled, work)


def ranked(engines: Sequence[str], work: Work, card: Card) -> list[Candidate]:
    """At most MOST_CANDIDATES launches: the best of each width that is _PLAUSIBLE, then few alike by rank."""
    every = sorted((one for engine in engines for one in _launches(engine, work, card)), key=_rank)
    kept: list[Candidate] = []
    for one in every:
        if _width(one) not in map(_width, kept) and one.predicted <= _PLAUSIBLE * every[0].predicted:
            kept.append(one)
    kept = kept[:MOST_CANDIDATES]
    for one in every:
        alike = [_kind(other) for other in kept].count(_kind(one))
        if one not in kept and len(kept) < MOST_CANDIDATES and alike < _MOST_ALIKE:
            kept.append(one)
    return sorted(kept, key=_rank)


def other_walks(tiled: Sequence[Candidate], work: Work) -> list[Candidate]:
    """The best ranked gathered launch in groups of other sizes, between which the model sees no difference.

    None where every group is the same walk: with one block of filters, or as few position tiles.
    """
    best = next((one for one in tiled if one.engine == GATHERED), None)
    if best is None or best.config is None:
        return []
    config, tiles_j = best.config, -(-work.positions // best.config.block_n)
    if thread_blocks(config, work) == tiles_j:
        return []
    others = (group for group in _OTHER_GROUPS if min(group, tiles_j) != min(config.group, tiles_j))
    return [replace(best, config=replace(config, group=group)) for group in others]


def _launches(engine: str, work: Work, card: Card) -> Iterator[Candidate]:
    """Every launch within the limits of an engine, with its predicted time."""
    limits, seconds = _TILED[engine]
    for config in configs():
        if reason_against(limits, config, work, card) is None:
            yield Candidate(engine, config, seconds(config, work, card))


def configs() -> Iterator[LaunchConfig]:
    """All launches there are to choose from."""
    sizes = product(WIDTHS, _BLOCKS_N, _BLOCKS_K, _WARPS, _STAGES, _SPLITS, (False, True))
    for width, block_n, block_k, warps, stages, split, swap in sizes:
        for block_m in {width, min(width, 128)}:
            yield LaunchConfig(width, block_m, block_n, block_k, warps, stages, split, swap)


def runnable_ones(
    chosen: Sequence[Candidate], layer: MapLayer, maps: Maps
) -> tuple[dict[Candidate, Run], tuple[str, ...]]:
    """The launches of those of `chosen` that this card runs, and why it does not run the others.

    Raises what a refusal leaves behind on the GPU for good, such as an illegal address: nothing can be timed
    after it.
    """
    runs: dict[Candidate, Run] = {}
    refused: list[str] = []
    for one in chosen:
        try:
            runs[one] = runnable(one, layer, maps)
        except _UNFIT as error:
            said = (str(error).strip().splitlines() or [""])[0][:_LONGEST_REASON]
            refused.append(f"{one.name}: {type(error).__name__}: {said}")
            _wait(maps)
    return runs, tuple(refused)


def runnable(candidate: Candidate, layer: MapLayer, maps: Maps) -> Run:
    """The bound launch, run once and, on a GPU, replayed once, which is how the clock runs it.

    Raises one of _UNFIT where this card cannot.
    """
    config = candidate.config or SAFE  # operators without launch sizes do not look at it
    run = OPERATORS[candidate.engine].bind(layer, maps, config)
    run()
    _wait(maps)
    if maps.x.device.type == "cuda":
        replay = captured(run)
        replay()
        _wait(maps)
    return run


def _wait(maps: Maps) -> None:
    """Until all that was launched has ended: an error in it is raised here, not by whoever comes next."""
    if maps.x.device.type == "cuda":
        torch.cuda.synchronize(maps.x.device)


def _rank(candidate: Candidate) -> tuple[float, int]:
    """By predicted time; where the model sees no difference, more columns in flight first."""
    assert candidate.config is not None
    return round(candidate.predicted, 9), -candidate.config.stages * candidate.config.block_k


def _width(candidate: Candidate) -> tuple[object, ...]:
    assert candidate.config is not None
    return candidate.engine, candidate.config.width


def _kind(candidate: Candidate) -> tuple[object, ...]:
    """What candidates share that differ only in columns at a time, warps, stages or swapped operands."""
    assert candidate.config is not None
    return *_width(candidate), candidate.config.block_m, candidate.config.block_n, candidate.config.split_k
