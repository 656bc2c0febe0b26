"""The layer benchmark's candidates on a GPU: cuDNN in several forms, and our kernels on CHWN maps.

All do the layer with bias, residual and ReLU; "dense conv alone" is cuDNN without them, the floor of what
fusion could bring, and no yardstick. Our maps and cuDNN's tensors stay in their own layouts, as they do
inside a network. Small layers go through several sets of buffers, so that no call finds its inputs in the
second cache only because the last call was the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from kernels.bench import Candidate, checked
from kernels.engines import Epilogue
from kernels.gpu.choice import SPARSE, Choice, choose
from kernels.gpu.clock import GpuTimer, rotated
from kernels.gpu.dense_forms import ALONE, EAGER, FUSED, Inputs, dense_call
from kernels.gpu.engine import SAFE, interpreted
from kernels.gpu.feature_map import SHIFTED, chwn, layout_for, shift_of, shifted
from kernels.gpu.gemm import GatheredGemm
from kernels.gpu.map_layer import MapLayer, Maps
from kernels.gpu.operators import GATHERED, OPERATORS, Run
from kernels.gpu.vendor import MOST_STORES
from kernels.measure import Timer
from kernels.pack import PackedWeight
from kernels.precision import Precision
from kernels.pruned_layer import PATTERNS as SHARED_PATTERNS
from kernels.pruned_layer import PrunedLayer
from kernels.roofline import Ceiling
from kernels.testing import assert_close

# The usual remedy for unequal tiles: those with most columns are started first.
LONGEST = "column-longest"
PATTERNS = (*SHARED_PATTERNS, LONGEST)
LIBRARY = "cuDNN"
_CHECKED_IMAGES = 8
_MOST_SETS, _CACHES = 8, 2


class GpuBench:
    """One precision on the current GPU; in Triton's interpreter on the CPU, with the host's clock."""

    baseline, sample_seconds = EAGER, 0.002
    dense_forms: tuple[str, ...] = (EAGER, FUSED)
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
        dense = layer.dense()
        found = [
            self._library(ALONE, layer, dense, inputs),
            self._library(EAGER, layer, dense, inputs),
            self._library(FUSED, layer, dense, inputs),
        ]
        packed: dict[str, PackedWeight] = {}
        for pattern in patterns:
            name = "column" if pattern == LONGEST else pattern
            if name not in packed:  # both orders run the very same tiles
                packed[name] = layer.pruned(name)
            found.append(self._pruned(pattern, layer, packed[name], inputs))
        return found

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
        except (RuntimeError, NotImplementedError) as error:
            reason = str(error).split("\n")[0][:160]
            return replace(candidate, run=None, note=f"cuDNN declined: {reason}")
        if form == ALONE:
            return candidate
        return checked(candidate, lambda: self._check(layer, packed, inputs[0], y, stores=MOST_STORES))

    def _smaller(self, layer: PrunedLayer, packed: PackedWeight, inputs: Sequence[Inputs]) -> Candidate:
        """Fewer filters, in the fused form where cuDNN has it."""
        narrower = [one.of_filters(packed.geometry.rows) for one in inputs]
        for form in (FUSED, EAGER):
            found = self._library(form, layer, packed, narrower)
            if found.run is not None:
                break
        return replace(found, pattern="filter", note=f"{found.pattern}, {found.note}")

    # ------------------------------------------------------------------------------------ our side
    def _pruned(
        self, pattern: str, layer: PrunedLayer, packed: PackedWeight, inputs: Sequence[Inputs]
    ) -> Candidate:
        if pattern == "filter":
            return self._smaller(layer, packed, inputs)
        made = MapLayer(packed, Epilogue(layer.bias, "relu"), self.precision)
        sets = [self._maps(packed, one) for one in inputs]
        engines = SPARSE if pattern == "bcbp" else frozenset({GATHERED})
        choice = choose(made, sets[0], engines=engines)
        runs = [self._bound(made, maps, choice, longest_first=pattern == LONGEST) for maps in sets]
        y = sets[0].written
        y.write(torch.full_like(inputs[0].residual, torch.nan))  # or what was not written might pass
        runs[0]()
        note = choice.reason if choice.config is None else f"{choice.reason}; {choice.config}"
        candidate = Candidate(pattern, choice.engine, layer.share(packed), rotated(runs), note, residual=True)
        return checked(candidate, lambda: self._check(layer, packed, inputs[0], y.nchw()))

    def _bound(self, layer: MapLayer, maps: Maps, choice: Choice, *, longest_first: bool) -> Run:
        if not longest_first:
            return OPERATORS[choice.engine].bind(layer, maps, choice.config or SAFE)
        assert choice.config is not None
        product = GatheredGemm(
            layer.packed,
            layer.epilogue,
            config=choice.config,
            precision=self.precision,
            device=self._device,
            order="longest",
        )
        return product.bind(maps.x, maps.written, maps.residual)

    def _maps(self, packed: PackedWeight, inputs: Inputs) -> Maps:
        """The maps of a layer inside a network of such maps, filled."""
        g, plane = packed.geometry, (inputs.x.shape[2], inputs.x.shape[3])
        images, output = len(inputs.x), g.output_size(*plane)
        if layout_for(images, self.precision.dtype) == SHIFTED:
            make = partial(shifted, images=images, dtype=self.precision.dtype, device=self._device)
            x = make(g.in_channels, plane, halo_rows=g.padding[0], shift=shift_of(g))
            y, residual = (make(g.rows, output) for _ in range(2))
        else:
            make = partial(chwn, images=images, dtype=self.precision.dtype, device=self._device)
            x = make(g.in_channels, plane, halo=g.padding)
            y, residual = (make(g.rows, output) for _ in range(2))
        x.write(inputs.x)
        residual.write(inputs.residual)
        return Maps(x, y, residual)

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
        if self._device == "cpu":
            return 0
        from kernels.gpu.card import this_card

        return this_card(torch.cuda.current_device()).cache_bytes

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
