"""Which operator runs a layer on its feature maps, and why: the one that measured fastest on this card.

In Triton's interpreter nothing is timed, and the first of the table that takes the layer runs it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from kernels.gpu.answers import Answer, Timed
from kernels.gpu.engine import SAFE, interpreted
from kernels.gpu.launch import LaunchConfig
from kernels.gpu.launch_tiles import growth
from kernels.gpu.map_layer import MapLayer, Maps
from kernels.gpu.operators import OPERATORS, VENDOR
from kernels.gpu.tuning import Tuner, this_tuner

SPARSE = frozenset(OPERATORS) - {VENDOR}
DENSE = frozenset({VENDOR})


@dataclass(frozen=True, eq=False)
class Choice:
    """The bound launch `run`, which of OPERATORS it is, how it is launched, and the reason in words."""

    run: Callable[[], None]
    engine: str
    config: LaunchConfig | None
    reason: str


def choose(
    layer: MapLayer,
    maps: Maps,
    *,
    tuner: Tuner | None = None,
    engines: frozenset[str] = frozenset(OPERATORS),
    again: bool = False,
) -> Choice:
    """The launch of `layer` on `maps`, the fastest of `engines`; every layer gets one of OPERATORS.

    Answers that are not remembered (or all, if `again`) are measured, on `maps` themselves: `y` is
    overwritten, and inputs should hold random values, as zeros multiply faster. Raises ValueError where the
    maps do not fit the layer, or none of `engines` takes it.
    """
    if tuner is None and interpreted():
        return _untimed(layer, maps, engines)
    answer, warning = (tuner or this_tuner(maps.x.device.index or 0)).answer(layer, maps, again=again)
    takes = takers(layer, maps)  # now: an answer may be from where more was installed
    fastest = answer.fastest(engines & takes)
    if fastest is None:
        raise ValueError(f"expected a layer that {', '.join(sorted(engines))} takes, got {answer.problem}")
    run = OPERATORS[fastest.engine].bind(layer, maps, fastest.config or SAFE)
    reasons = (reason_of(answer, fastest, takes), joining(layer, fastest.config), refusals(answer), warning)
    return Choice(run, fastest.engine, fastest.config, "; ".join(filter(None, reasons)))


def takers(layer: MapLayer, maps: Maps) -> frozenset[str]:
    """Those of OPERATORS that take the layer on these maps."""
    return frozenset(name for name, operator in OPERATORS.items() if operator.declines(layer, maps) is None)


def reason_of(answer: Answer, fastest: Timed, takes: frozenset[str]) -> str:
    """Why it is `fastest`: by how much, against the best of `takes` of the other kind, sparse or dense."""
    rival = answer.fastest(takes & (SPARSE if fastest.engine == VENDOR else DENSE))
    if rival is None:
        return f"nothing else takes the layer ({fastest.median_ms:.3f} ms {answer.where})"
    factor = rival.median_ms / fastest.median_ms
    comparison = f"{factor:.2f}x faster" if factor >= 1 else f"{1 / factor:.2f}x slower"
    noisy = ", on an unsteady machine" if answer.noisy else ""
    return (
        f"{fastest.engine} was {comparison} than {rival.engine} {answer.where} "
        f"({fastest.median_ms:.3f} vs {rival.median_ms:.3f} ms{noisy})"
    )


def refusals(answer: Answer) -> str:
    """How many launches the card refused, and the first of the reasons; empty where it refused none."""
    if not answer.refused:
        return ""
    return f"{len(answer.refused)} not timed, the first for: {answer.refused[0]}"


def joining(layer: MapLayer, config: LaunchConfig | None) -> str:
    """What a launch makes of the pruning tiles: joined, at which cost, or cut; empty where they fit."""
    tile = layer.packed.tile
    if config is None or config.width == tile:
        return ""
    if config.width < tile:
        return f"tiles of {tile} run as launches of {config.width}"
    more = growth(layer.packed, config.width) - 1
    return f"tiles of {tile} run joined at {config.width}, which multiplies {more:.0%} more"


def _untimed(layer: MapLayer, maps: Maps, engines: frozenset[str]) -> Choice:
    takes = engines & takers(layer, maps)
    for name, operator in OPERATORS.items():
        if name in takes:
            config = SAFE if operator.tiled else None
            reasons = (
                f"{name} takes the layer; nothing was timed, as there is no GPU",
                joining(layer, config),
            )
            run = operator.bind(layer, maps, SAFE)
            return Choice(run, name, config, "; ".join(filter(None, reasons)))
    raise ValueError(f"expected a layer that {', '.join(sorted(engines))} takes")
