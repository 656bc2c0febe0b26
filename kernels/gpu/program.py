"""A whole network on the GPU: a recipe bound for one number of images, replayed as one CUDA graph."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

from kernels.gpu.buffers import Buffers
from kernels.gpu.choice import Choice, choose
from kernels.gpu.copies import write_copies
from kernels.gpu.feature_map import CHWN, FeatureMap
from kernels.gpu.graph import captured
from kernels.gpu.map_layer import MapLayer, Maps
from kernels.gpu.pooling import Pool
from kernels.gpu.recipe import Flatten, Recipe, Step
from kernels.gpu.transpose import convert_in
from kernels.precision import torch_products

Run = Callable[[], None]


class Program:
    """A recipe ready to run `images` images on `device`.

    Call it with x [images, C, H, W] of any float type; it gives float32. `choices` says for each layer, by
    name, what runs it and why; `by_torch` names the steps that PyTorch runs itself. On a GPU all steps are
    one CUDA graph, on buffers of its own: one call at a time. Elsewhere (in Triton's interpreter) they run
    one by one.
    """

    def __init__(
        self,
        recipe: Recipe,
        *,
        images: int,
        device: torch.device | str,
        choose: Callable[[MapLayer, Maps], Choice] = choose,
    ) -> None:
        device = torch.device(device)
        self.choices: dict[str, Choice] = {}
        self.by_torch: list[str] = []
        self._choose = choose
        self._recipe, self._buffers = recipe, Buffers(recipe, images=images, device=device)
        with _current(device):
            self._x = torch.zeros(images, *recipe.source.shape, device=device, dtype=torch.float32)
            self._y = torch.zeros(images, *recipe.result.shape, device=device, dtype=torch.float32)
            self._steps = list(self._bind())
            self._replay = captured(self._run) if device.type == "cuda" else None

    @property
    def layout(self) -> str:
        return self._buffers.layout

    @property
    def buffer_bytes(self) -> int:
        """Memory of all buffers."""
        return sum(made.buffer.nbytes for made in self.maps())

    def maps(self) -> tuple[FeatureMap, ...]:
        """The buffers of the network."""
        return tuple(self._buffers.made)

    @torch.no_grad()
    def __call__(self, x: Tensor) -> Tensor:
        if x.shape != self._x.shape:
            raise ValueError(f"expected x of {tuple(self._x.shape)}, got {tuple(x.shape)}")
        with _current(self._x.device):
            self._x.copy_(x)
            if self._replay is None:
                self._run()
            else:
                self._replay()
            return self._y.clone()

    def _run(self) -> None:
        with torch_products(self._recipe.precision):  # for the steps that PyTorch runs
            for step in self._steps:
                step()

    def _bind(self) -> Iterator[Run]:
        """Every launch in order. What a step was the last to read is free for the results of later ones."""
        self._buffers.allocate(self._recipe.source)
        yield from self._enter()
        for index, step in enumerate(self._recipe.steps):
            yield from self._bind_step(step)
            self._buffers.release(index)
        yield self._leave()

    def _enter(self) -> Iterator[Run]:
        """The images into every map of the first value."""
        x = self._x if self._x.dim() == 4 else self._x[:, :, None, None]
        into = convert_in if self.layout == CHWN else write_copies
        return (into(x, target) for target in self._buffers.maps(self._recipe.source))

    def _leave(self) -> Run:
        """The result into the tensor that is handed out."""
        y, read = self._y, self._buffers.reader(self._recipe.result)

        def run() -> None:
            y.copy_(read())

        return run

    def _bind_step(self, step: Step) -> Iterator[Run]:
        buffers, operation = self._buffers, step.operation
        if isinstance(operation, Flatten) and buffers.alias(step.sources[0], step.result):
            return
        buffers.allocate(step.result)
        if isinstance(operation, Flatten):
            yield self._bind_flatten(step)
        elif isinstance(operation, MapLayer):
            yield from self._bind_layer(step, operation)
        elif isinstance(operation, Pool):
            x = buffers.plain(step.sources[0])
            yield from (operation.bind(x, target) for target in buffers.maps(step.result))
        else:
            yield self._bind_torch(step, operation)

    def _bind_layer(self, step: Step, layer: MapLayer) -> Iterator[Run]:
        buffers, target = self._buffers, self._buffers.target(step.result)
        source, *residuals = step.sources
        residual = buffers.plain(residuals[0]) if residuals else None
        x = buffers.read_by(layer.packed.geometry, source)
        if self._x.is_cuda:  # where candidates are timed: on zeros they would run faster
            _fill_with_noise(x, residual)
        choice = self.choices[step.name] = self._choose(layer, Maps(x, target.plain, residual, target.expand))
        yield choice.run
        if target.copies:
            made = buffers.plain(step.result).nchw()
            yield from (write_copies(made, copies) for copies in target.copies)

    def _bind_flatten(self, step: Step) -> Run:
        """One copy, from the planes to the channels of the flat map."""
        self.by_torch.append(step.name)
        source = self._buffers.plain(step.sources[0]).nchw()
        target = self._buffers.plain(step.result).nchw()[:, :, 0, 0].unflatten(1, source.shape[1:])

        def run() -> None:
            target.copy_(source)

        return run

    def _bind_torch(self, step: Step, function: Callable[..., Tensor]) -> Run:
        self.by_torch.append(step.name)
        readers = [self._buffers.reader(source) for source in step.sources]
        return _writer(self._buffers.maps(step.result), lambda: function(*(read() for read in readers)))


def _current(device: torch.device) -> AbstractContextManager[object]:
    """While it lasts, launches go to `device`."""
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()


def _writer(maps: tuple[FeatureMap, ...], read: Callable[[], Tensor]) -> Run:
    """Copies what `read` gives into every map."""

    def run() -> None:
        value = read()
        for target in maps:
            target.write(value if value.dim() == 4 else value[:, :, None, None])

    return run


def _fill_with_noise(*maps: FeatureMap | None) -> None:
    for filled in maps:
        if filled is not None:
            filled.write(torch.randn(filled.images, filled.channels, *filled.plane, device=filled.device))
