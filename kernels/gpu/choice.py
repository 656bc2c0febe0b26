"""Which operator runs a layer on its feature maps, and why: the one that measured fastest on this card.

In Triton's interpreter nothing is timed, and the first of the table that takes the layer runs it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from kernels.gpu.engine import SAFE
from kernels.gpu.launch import LaunchConfig
from kernels.gpu.map_layer import MapLayer, Maps
from kernels.gpu.operators import OPERATORS

__all__ = ["Choice", "MapLayer", "Maps", "choose"]


@dataclass(frozen=True, eq=False)
class Choice:
    """The bound launch `run`, which of OPERATORS it is, how it is launched, and the reason in words."""

    run: Callable[[], None]
    engine: str
    config: LaunchConfig | None
    reason: str


def choose(layer: MapLayer, maps: Maps) -> Choice:
    """The launch of `layer` on `maps`; every layer gets one. Raises ValueError where the maps do not fit."""
    return _untimed(layer, maps)


def _untimed(layer: MapLayer, maps: Maps) -> Choice:
    name = next(name for name, operator in OPERATORS.items() if operator.declines(layer, maps) is None)
    operator = OPERATORS[name]
    reason = f"{name} takes the layer; nothing was timed, as there is no GPU"
    return Choice(operator.bind(layer, maps, SAFE), name, SAFE if operator.tiled else None, reason)
