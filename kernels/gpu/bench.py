"""The layer benchmark's candidates on a GPU: cuDNN in several forms, and our kernels on CHWN maps.

All do the layer with bias, residual and ReLU; "dense conv alone" is cuDNN without them, the floor of what
fusion could bring, and no yardstick. Our maps and cuDNN's tensors stay in their own layouts, as they do
inside a network. Small layers go through several sets of buffers, so that no call finds its inputs in the
second cache only because the last call was the same; weights stay there (see kernels.gpu.clock).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache

import torch
from torch import Tensor

from kernels.bench import Candidate, checked
from kernels.engines import Epilogue
from kernels.gpu.card import Card, this_card
from kernels.gpu.choice import SPARSE, Choice, choose
from kernels.gpu.clock import GpuTimer, rotated
from kernels.gpu.cost_model import waves
from kernels.gpu.dense_forms import ALONE, EAGER, FUSED, Inputs, dense_call
from kernels.gpu.engine import SAFE, interpreted
from kernels.gpu.gemm import GatheredGemm
from kernels.gpu.graph import captured
from kernels.gpu.map_layer import MapLayer, Maps
from kernels.gpu.network_maps import maps_in_a_network, what_is_written
from kernels.gpu.operators import GATHERED, OPERATORS, SEMI_STRUCTURED, Bind
from kernels.gpu.vendor import MOST_STORES
from kernels.gpu.work import work_of
from kernels.measure import MIN_ROUNDS, Timer, measure
from kernels.pack import PackedWeight
from kernels.precision import Precision
from kernels.pruned_layer import PATTERNS as SHARED_PATTERNS
from kernels.pruned_layer import PrunedLayer
from kernels.roofline import Ceiling
from kernels.testing import assert_close

# column-longest: the usual remedy for unequal tiles, those with most columns started first. bcbp-as-column:
# balanced tiles. Both run by the launch that was tuned for column, so that beside its row one shows what the
# order is worth, the other what balance is, and nothing else differs.
LONGEST, AS_COLUMN = "column-longest", "bcbp-as-column"
PATTERNS = (*SHARED_PATTERNS, LONGEST, AS_COLUMN)
# The dense layer on our kernels: what they gain with nothing removed is no gain of pruning.
UNPRUNED = "dense triton"
# pattern -> whose tiles it runs, and whose launch
_VARIANTS = {LONGEST: ("column", "column"), AS_COLUMN: ("bcbp", "column"), UNPRUNED: ("dense", "dense")}
# A mask of whole columns that happens to be 2:4 is still run as what it is.
_ON_TILES = SPARSE - {SEMI_STRUCTURED}
LIBRARY = "cuDNN"
_LIBRARY_FORMS = (EAGER, FUSED)
_CHECKED_IMAGES = 8
_MOST_SETS, _CACHES = 8, 2


@dataclass(frozen=True, eq=False)
class _Prepared:
    """A layer with its inputs in both layouts; `tiles` gives what a pattern leaves, always the very same."""

    layer: PrunedLayer
    inputs: list[Inputs]
    maps: list[Maps]
    tiles: Callable[[str], PackedWeight]

    def on_maps(self, pattern: str, precision: Precision) -> MapLayer:
        packed = self.tiles(pattern)
        return MapLayer(packed, Epilogue(self.layer.bias[: packed.geometry.rows], "relu"), precision)


class GpuBench:
    """One precision on the current GPU; in Triton's interpreter on the CPU, with the host's clock."""

    baseline, sample_seconds = EAGER, 0.002
    dense_forms: tuple[str, ...] = (*_LIBRARY_FORMS, UNPRUNED)
    patterns: tuple[str, ...] = PATTERNS

    def __init__(self, precision: Precision) -> None:
        self.precision, self.dtype = precision, precision.name
        self.itemsize = precision.dtype.itemsize
        self._device = "cpu" if interpreted() else "cuda"

    def ceiling(self) -> Ceiling:
        from kernels.gpu.ceiling import measure_ceiling

        return measure_ceiling(self.precision)

    def timer(self) -> Timer | None:
        return None if interpreted() else GpuTimer()

    def candidates(self, layer: PrunedLayer, patterns: Sequence[str]) -> list[Candidate]:
        inputs = self._inputs(layer)
        prepared = self._prepared(layer, inputs, cache(layer.pruned))
        dense = prepared.tiles("dense")
        found = [self._library(form, layer, dense, inputs) for form in (ALONE, *_LIBRARY_FORMS)]
        return [*found, self._unpruned(prepared)] + [
            self._smaller(layer, layer.pruned(pattern), inputs)
            if pattern == "filter"
            else self._pruned(pattern, prepared)
            for pattern in patterns
        ]

    # ------------------------------------------------------------------------------------ the library's side
    def _library(
        self, form: str, layer: PrunedLayer, packed: PackedWeight, inputs: Sequence[Inputs]
    ) -> Candidate:
        """A dense layer in one of cuDNN's forms."""
        calls = [dense_call(form, packed, layer.bias, one, precision=self.precision) for one in inputs]
        candidate = Candidate(
            form, LIBRARY, layer.share(packed), rotated(calls), "channels_last", residual=form != ALONE
        )
        try:
            y = calls[0]()
            if self._device != "cpu":  # as the clock will run it: a refusal costs this form, not the session
                captured(calls[0])
        except (RuntimeError, NotImplementedError) as error:
            reason = str(error).split("\n")[0][:160]
            return replace(candidate, run=None, note=f"cuDNN declined: {reason}")
        if form == ALONE:
            return candidate
        return checked(candidate, lambda: self._check(layer, packed, inputs[0], y, stores=MOST_STORES))

    def _smaller(self, layer: PrunedLayer, packed: PackedWeight, inputs: Sequence[Inputs]) -> Candidate:
        """Fewer filters, in the fastest of the forms that dense has the choice of as well."""
        narrower = [one.of_filters(packed.geometry.rows) for one in inputs]
        forms = [self._library(form, layer, packed, narrower) for form in _LIBRARY_FORMS]
        forms.append(self._unpruned(self._prepared(layer, narrower, lambda _: packed)))
        runs = {one.pattern: one.run for one in forms if one.run is not None}
        if not runs:
            return replace(forms[0], pattern="filter", note="; ".join(one.note for one in forms))
        scouted = measure(
            runs,
            baseline=next(iter(runs)),
            rounds=MIN_ROUNDS,
            sample_seconds=self.sample_seconds,
            timer=self.timer(),
        )
        best = min((one for one in forms if one.run is not None), key=lambda one: scouted[one.pattern].median)
        return replace(best, pattern="filter", note=f"{best.pattern}, {best.note}")

    # ------------------------------------------------------------------------------------ our side
    def _prepared(
        self, layer: PrunedLayer, inputs: list[Inputs], tiles: Callable[[str], PackedWeight]
    ) -> _Prepared:
        geometry = tiles(_VARIANTS[UNPRUNED][0]).geometry
        maps = [maps_in_a_network(geometry, one, device=self._device) for one in inputs]
        return _Prepared(layer, inputs, maps, tiles)

    def _unpruned(self, prepared: _Prepared) -> Candidate:
        """All of a layer on our kernels; it has no tiles that could be unequal."""
        return replace(self._pruned(UNPRUNED, prepared), wit=None)

    def _pruned(self, pattern: str, prepared: _Prepared) -> Candidate:
        """A pattern, or one of _VARIANTS, on our kernels; without a call where no launch takes it."""
        try:
            return self._launched(pattern, prepared)
        except ValueError as error:
            packed = prepared.tiles(_VARIANTS.get(pattern, (pattern, pattern))[0])
            return Candidate(
                pattern, GATHERED, prepared.layer.share(packed), None, str(error), wit=packed.wit
            )

    def _launched(self, pattern: str, prepared: _Prepared) -> Candidate:
        layer, maps = prepared.layer, prepared.maps
        tiles, launch = _VARIANTS.get(pattern, (pattern, pattern))
        engines = _ON_TILES if pattern in ("bcbp", UNPRUNED) else frozenset({GATHERED})
        choice = choose(prepared.on_maps(launch, self.precision), maps[0], engines=engines)
        made = prepared.on_maps(tiles, self.precision)
        bind = self._longest_first(made, choice) if pattern == LONGEST else self._built(made, choice)
        runs = [bind(one) for one in maps]
        y = maps[0].written
        y.write(torch.full_like(prepared.inputs[0].residual, torch.nan))  # or what was not written might pass
        runs[0]()
        notes = (
            f"at the launch of {launch}" if launch == "column" != pattern else "",
            choice.reason,
            str(choice.config or ""),
        )
        candidate = Candidate(
            pattern,
            choice.engine,
            layer.share(made.packed),
            rotated(runs),
            "; ".join(filter(None, notes)),
            residual=True,
            wit=made.packed.wit,
            waves=self._waves(choice, made, maps[0]),
            writes=what_is_written(maps[0]),
        )
        return checked(candidate, lambda: self._check(layer, made.packed, prepared.inputs[0], y.nchw()))

    def _built(self, layer: MapLayer, choice: Choice) -> Bind:
        return OPERATORS[choice.engine].build(layer, choice.config or SAFE, torch.device(self._device))

    def _longest_first(self, layer: MapLayer, choice: Choice) -> Bind:
        """The gathered product at the same launch, its tiles in another order."""
        assert choice.config is not None
        product = GatheredGemm(
            layer.packed,
            layer.epilogue,
            config=choice.config,
            precision=self.precision,
            device=self._device,
            order="longest",
        )
        return lambda maps: product.bind(maps.x, maps.written, maps.residual, expand=maps.expand)

    def _waves(self, choice: Choice, layer: MapLayer, maps: Maps) -> float | None:
        """How often its thread blocks fill the card; None for other operators, and without a card."""
        card = self._card()
        if card is None or choice.engine != GATHERED or choice.config is None:
            return None
        return waves(choice.config, work_of(layer, maps), card)

    # ------------------------------------------------------------------------------------ both
    def _inputs(self, layer: PrunedLayer) -> list[Inputs]:
        """As many sets of random inputs as it takes to exceed the second cache, but not many."""
        g = layer.shape.geometry
        output = (layer.batch, g.rows, *g.output_size(*layer.shape.plane))
        moved = layer.shape.moved(layer.batch, itemsize=self.itemsize, residual=True)
        count = max(1, min(_MOST_SETS, -(-_CACHES * self._cache_bytes() // int(moved))))
        return [
            Inputs(self._random((layer.batch, g.in_channels, *layer.shape.plane)), self._random(output))
            for _ in range(count)
        ]

    def _cache_bytes(self) -> int:
        card = self._card()
        return 0 if card is None else card.cache_bytes

    def _card(self) -> Card | None:
        """The current GPU; None in the interpreter."""
        return None if self._device == "cpu" else this_card(torch.cuda.current_device())

    def _random(self, shape: tuple[int, ...]) -> Tensor:
        values = torch.randn(shape, device=self._device).to(self.precision.dtype)
        return values.contiguous(memory_format=torch.channels_last)

    def _check(
        self, layer: PrunedLayer, packed: PackedWeight, inputs: Inputs, y: Tensor, *, stores: int = 1
    ) -> None:
        """Raise AssertionError unless y is right: all of it finite, some images of it exact.

        Images are independent, and every thread block computes some of each, so a few stand for all.
        """
        if not bool(y.isfinite().all()):
            raise AssertionError("expected finite values everywhere, got some that are not, or none written")
        some = torch.linspace(0, len(y) - 1, min(len(y), _CHECKED_IMAGES)).round().long().tolist()
        assert_close(
            y[some],
            packed=packed,
            x=inputs.x[some],
            epilogue=Epilogue(layer.bias[: packed.geometry.rows], "relu"),
            residual=inputs.residual[some],
            precision=self.precision,
            stores=stores,
        )
