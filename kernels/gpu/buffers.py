"""The feature maps of a network's values: which each needs, and which may share a buffer.

Every value gets the widest halo its readers need and, in the shifted layout, one set of copies for each kind
of reader. A buffer whose last reader has run serves a later value of the same shape and halo, so the halo,
written once with zeros, stays right.

Example: a residual block in CHWN needs four buffers. 1x1 writes into one with a halo of 1, 3x3 into one
without, the projection into a third, and the last 1x1, which reads two of them, into a fourth.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from kernels.gpu.feature_map import CHWN, PLAIN, FeatureMap, Shift, chwn, layout_for, shift_of, shifted
from kernels.gpu.map_layer import MapLayer
from kernels.gpu.recipe import Recipe, Value
from kernels.layout import ConvGeometry, Pair

Needs = dict[Value, dict[Shift, Pair]]
_NEVER = -1


@dataclass(frozen=True, eq=False)
class Target:
    """What a product writes: the value itself, copies in its epilogue, and copies made behind it."""

    plain: FeatureMap | None
    expand: FeatureMap | None
    copies: tuple[FeatureMap, ...]


class Buffers:
    """The maps of every value, allocated in the order of the steps; `made` holds every buffer once."""

    def __init__(self, recipe: Recipe, *, images: int, device: torch.device) -> None:
        self.layout = choose_layout(recipe, images)
        self.made: list[FeatureMap] = []
        self._images, self._device, self._dtype = images, device, recipe.precision.dtype
        self._needs = needed_maps(recipe, self.layout)
        self._last = last_readers(recipe)
        self._maps: dict[Value, dict[Shift, FeatureMap]] = {}
        self._free: list[FeatureMap] = []

    def allocate(self, value: Value) -> None:
        """Give `value` the maps its readers need."""
        self._maps[value] = {
            shift: self._take(value, shift, halo) for shift, halo in self._needs[value].items()
        }

    def release(self, index: int) -> None:
        """Step `index` is bound: what it was the last to read is free for later values."""
        for value in [value for value in self._maps if self._last[value] == index]:
            self._free += self._maps.pop(value).values()

    def alias(self, source: Value, result: Value) -> bool:
        """Let flat `result` be the buffer of `source`; False where a halo or padding lies in between."""
        plain, (height, width) = self.plain(source), source.plane
        whole_rows = self.layout == CHWN or (height, width) == (1, 1)
        if plain.halo != (0, 0) or not whole_rows or set(self._needs[result]) != {PLAIN}:
            return False
        buffer = plain.buffer
        if self.layout == CHWN:
            buffer = buffer.view(result.channels, 1, 1, plain.innermost)
        seen = FeatureMap(buffer, result.channels, 1, 1, plain.images, (0, 0), plain.shift)
        self._maps[result] = {PLAIN: seen}
        self._last[result] = max(self._last[result], self._last[source])
        self._last[source] = _NEVER  # the buffer is freed with `result`
        return True

    def maps(self, value: Value) -> tuple[FeatureMap, ...]:
        return tuple(self._maps[value].values())

    def read_by(self, geometry: ConvGeometry, value: Value) -> FeatureMap:
        """The map of `value` that a layer of that geometry reads."""
        return self._maps[value][_reads(geometry, self.layout)[0]]

    def plain(self, value: Value) -> FeatureMap:
        return self._maps[value][PLAIN]

    def target(self, value: Value) -> Target:
        """Where a product writes `value`: one set of copies in its epilogue, further ones behind it."""
        others = [made for shift, made in self._maps[value].items() if shift != PLAIN]
        return Target(self._maps[value].get(PLAIN), next(iter(others), None), tuple(others[1:]))

    def reader(self, value: Value) -> Callable[[], Tensor]:
        """Gives `value` as a view: [images, C, H, W], or [images, C] where it is flat."""
        view = self.plain(value).nchw()
        return lambda: view[:, :, 0, 0] if value.flat else view

    def _take(self, value: Value, shift: Shift, halo: Pair) -> FeatureMap:
        """A free map of the same shape and halo, else a new one."""
        for index, old in enumerate(self._free):
            same = (old.channels, old.plane, old.halo) == (value.channels, value.plane, halo)
            if same and (old.shift or PLAIN) == shift:
                return self._free.pop(index)
        made = self._make(value, shift, halo)
        self.made.append(made)
        return made

    def _make(self, value: Value, shift: Shift, halo: Pair) -> FeatureMap:
        of = (value.channels, value.plane, self._images)
        if self.layout == CHWN:
            return chwn(*of, halo=halo, dtype=self._dtype, device=self._device)
        return shifted(*of, halo_rows=halo[0], shift=shift, dtype=self._dtype, device=self._device)


def choose_layout(recipe: Recipe, images: int) -> str:
    """CHWN for many images, or where a layer cannot read shifted copies."""
    for step in recipe.steps:
        if isinstance(step.operation, MapLayer):
            geometry = step.operation.packed.geometry
            if geometry.groups != 1 or (geometry.kernel[1] > 1 and geometry.dilation[1] > 1):
                return CHWN
    return layout_for(images, recipe.precision.dtype)


def needed_maps(recipe: Recipe, layout: str) -> Needs:
    """For every value the maps it has to have, with the widest halo of the readers of each."""
    needs: Needs = {value: {} for value in (recipe.source, *(step.result for step in recipe.steps))}
    _need(needs[recipe.result], PLAIN, (0, 0))
    for step in recipe.steps:
        plainly = step.sources
        if isinstance(step.operation, MapLayer):
            _need(needs[step.sources[0]], *_reads(step.operation.packed.geometry, layout))
            plainly = step.sources[1:]
        for source in plainly:
            _need(needs[source], PLAIN, (0, 0))
    for step in recipe.steps:
        wanted = needs[step.result]
        copies = len(wanted.keys() - {PLAIN})
        # A product makes one set of copies itself; further ones are made from the value, which so must exist.
        if not wanted or (copies > 1 and isinstance(step.operation, MapLayer)):
            _need(wanted, PLAIN, (0, 0))
    return needs


def last_readers(recipe: Recipe) -> dict[Value, int]:
    """The index of the last step that reads each value; the result is read behind them all."""
    last = {recipe.source: 0}
    for index, step in enumerate(recipe.steps):
        last[step.result] = index
        last |= dict.fromkeys(step.sources, index)
    return last | {recipe.result: len(recipe.steps)}


def _reads(geometry: ConvGeometry, layout: str) -> tuple[Shift, Pair]:
    """The kind of map a layer reads, and the halo it needs there."""
    if layout == CHWN:
        return PLAIN, geometry.padding
    return shift_of(geometry), (geometry.padding[0], 0)


def _need(needs: dict[Shift, Pair], shift: Shift, halo: Pair) -> None:
    known = needs.get(shift, (0, 0))
    needs[shift] = (max(known[0], halo[0]), max(known[1], halo[1]))
