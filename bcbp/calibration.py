"""What calibration images tell of a layer: moments of its inputs, streamed in blocks, and loss gradients.

Inputs are the columns X [K, N] of im2col, rows in the order of `weight.flatten(1)`, one column a position of
the output. A grouped convolution has one matrix per group.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bcbp.channels import before_norms
from bcbp.data import Images, drawn, load_images
from bcbp.errors import SpecError
from bcbp.geometry import geometry_of
from bcbp.intake.model import LoadedModel
from bcbp.walk import attached
from kernels.measure import Stopped

Layer = nn.Conv2d | nn.Linear
Tell = Callable[[float], None]
ShouldStop = Callable[[], bool]

# Of im2col columns at once. Beside two K x K matrices this, its gathered twin and the padded input are all
# that a layer takes: less than 1 GB for 4608 columns, which a test holds.
_BLOCK_BYTES = 64 * 1024**2
# Wider layers would need a Gram matrix of over 256 MiB.
MOST_COLUMNS = 8192
# 1024 images, and of each only so many positions that 32 of them fall on every column: neighbouring positions
# say nearly the same. On ResNet-20 (BCBP, V = 16, ratio 0.5) all positions gave no better refit.
IMAGES, POSITIONS_PER_COLUMN = 1024, 32
DAMPING = 0.01
_BATCH, _GRADIENTS = 128, 8


@dataclass(frozen=True, eq=False)
class Moments:
    """Second moments and means of a layer's inputs, float32, per group.

    X̂ are the inputs as they are, X the original ones at the same positions: `gram` is X̂ X̂ᵀ / N and `cross`
    X X̂ᵀ / N [groups, K, K]; `mean` and `original_mean` [groups, K]. Without original inputs X is X̂.
    """

    gram: Tensor
    cross: Tensor
    mean: Tensor
    original_mean: Tensor

    @property
    def centred(self) -> Moments:
        """Covariances in place of second moments: what counts where the bias is free."""
        gram = self.gram - self.mean[:, :, None] * self.mean[:, None]
        cross = self.cross - self.original_mean[:, :, None] * self.mean[:, None]
        return Moments(gram, cross, self.mean, self.original_mean)

    @cached_property
    def energy(self) -> Tensor:
        """H_jj, the mean square of each input: float32 [groups, K]."""
        return self.gram.diagonal(dim1=1, dim2=2)

    @cached_property
    def free_energy(self) -> Tensor:
        """1 / [H⁻¹]_jj, H damped: what no other input can stand in for; float32 [groups, K]."""
        return (1 / torch.linalg.inv(damped(self.gram)).diagonal(dim1=1, dim2=2)).float()


def damped(gram: Tensor) -> Tensor:
    """float64 [groups, K, K] with `damping` on the diagonal, so that it can be inverted."""
    return gram.double() + torch.diag_embed(damping(gram)[:, None].expand(gram.shape[:2]))


def damping(gram: Tensor) -> Tensor:
    """DAMPING times the mean diagonal, float64 [groups]; never zero, even for inputs that are."""
    mean = gram.double().diagonal(dim1=1, dim2=2).mean(1)
    return (DAMPING * mean).clamp_min(torch.finfo(torch.float32).tiny)


LayerStats = Moments | Tensor
ModelStats = Mapping[str, LayerStats]


def naive_columns(layer: Layer, x: Tensor) -> Tensor:
    """The slow twin of `columns`: X [groups, K, N] over all positions, in float64."""
    if isinstance(layer, nn.Linear):
        return x.double().flatten(0, -2).T[None]
    unfolded = F.unfold(x.double(), layer.kernel_size, layer.dilation, layer.padding, layer.stride)  # type: ignore[arg-type]
    return unfolded.transpose(0, 1).flatten(1).view(layer.groups, layer.weight[0].numel(), -1)


def windows(layer: Layer, x: Tensor) -> Tensor:
    """What each position of the output reads, a view of the padded input: [N, down, across, values...]."""
    if isinstance(layer, nn.Linear):
        return x.reshape(len(x), -1, 1, x.shape[-1])
    geometry = geometry_of(layer)
    (high, wide), (down, across) = geometry.kernel, geometry.dilation
    top, left = geometry.padding
    padded = F.pad(x, (left, left, top, top))
    spans = padded.unfold(2, down * (high - 1) + 1, geometry.stride[0])
    spans = spans.unfold(3, across * (wide - 1) + 1, geometry.stride[1])
    return spans[..., ::down, ::across].permute(0, 2, 3, 1, 4, 5)


def columns(layer: Layer, x: Tensor, positions: Tensor) -> Tensor:
    """Xᵀ at chosen `positions` int64 [N, P] of each image: [groups, N * P, K]."""
    view = windows(layer, x)
    image = torch.arange(len(x))[:, None].expand_as(positions)
    picked = view[image, positions // view.shape[2], positions % view.shape[2]]
    return picked.reshape(positions.numel(), groups_of(layer), -1).transpose(0, 1)


def groups_of(layer: Layer) -> int:
    return layer.groups if isinstance(layer, nn.Conv2d) else 1


class MomentStream:
    """Moments of one layer over batches of inputs; of every image so many positions that all together
    POSITIONS_PER_COLUMN of them, or all there are, fall on each column.

    The generator starts from a fixed seed, so every method sees the same positions.
    """

    def __init__(self, layer: Layer, images: int, *, paired: bool) -> None:
        self._layer, self._paired = layer, paired
        self._columns = layer.weight[0].numel()
        self._per_image = -(-POSITIONS_PER_COLUMN * self._columns // images)
        self._generator = torch.Generator().manual_seed(0)
        size = (groups_of(layer), self._columns)
        self._gram = torch.zeros(*size, self._columns)
        self._cross = torch.zeros(*size, self._columns) if paired else self._gram
        self._sum, self._original_sum = torch.zeros(2, *size, dtype=torch.float64).unbind()
        self._count = 0

    @torch.no_grad()
    def add(self, current: Tensor, original: Tensor | None = None) -> None:
        """One batch of inputs [N, ...], and the original ones of the same images where they are paired."""
        view = windows(self._layer, current[:1])
        available = view.shape[1] * view.shape[2]
        images = max(1, _BLOCK_BYTES // (4 * self._columns * min(self._per_image, available)))
        for start in range(0, len(current), images):
            part = current[start : start + images]
            positions = self._choose(len(part), available)
            now = columns(self._layer, part, positions)
            self._gram.baddbmm_(now.transpose(1, 2), now)
            self._sum += now.sum(1)
            if original is not None:
                before = columns(self._layer, original[start : start + images], positions)
                self._cross.baddbmm_(before.transpose(1, 2), now)
                self._original_sum += before.sum(1)
            self._count += positions.numel()

    def _choose(self, images: int, available: int) -> Tensor:
        """Positions of each image, drawn without repetition: int64 [images, P]."""
        if self._per_image >= available:
            return torch.arange(available).expand(images, available)
        drawn = torch.rand(images, available, generator=self._generator)
        return drawn.topk(self._per_image, sorted=False).indices

    def moments(self) -> Moments:
        """Over what was added so far; the stream ends here."""
        gram, mean = self._gram.div_(self._count), (self._sum / self._count).float()
        if not self._paired:
            return Moments(gram, gram, mean, mean)
        original_mean = (self._original_sum / self._count).float()
        return Moments(gram, self._cross.div_(self._count), mean, original_mean)


def free_biases(module: nn.Module) -> frozenset[str]:
    """Layers whose outputs may shift by a constant per filter: a bias or a batch norm takes it up.

    The means of their inputs cost nothing then, so covariances count, not second moments. On the bundled
    ResNet-20 at ratio 0.7 that was worth a point in a trial of greedy OBS (2500 validation images).
    """
    layers = {name: child for name, child in module.named_modules() if isinstance(child, Layer)}
    return before_norms(module) | {name for name, layer in layers.items() if layer.bias is not None}


def wide_reason(layer: Layer) -> str | None:
    """Why a layer has no Gram matrix; None if it can have one."""
    width = layer.weight[0].numel()
    if width <= MOST_COLUMNS:
        return None
    return f"its {width} columns are more than the {MOST_COLUMNS} that a Gram matrix is made for"


@torch.no_grad()
def input_moments(
    model: LoadedModel, images: Images, *, tell: Tell, should_stop: ShouldStop
) -> dict[str, Moments]:
    """Moments of the inputs of every prunable layer, in one pass, centred where the bias is free.

    Raises SpecError for too wide a layer.
    """
    images, module = images.head(IMAGES), copy.deepcopy(model.module)
    streams = {}
    for info in model.layers:
        layer = module.get_submodule(info.name)
        assert isinstance(layer, Layer)
        if reason := wide_reason(layer):
            raise SpecError(f"Expected layers to measure the inputs of; {info.name} is not one: {reason}.")
        streams[info.name] = MomentStream(layer, len(images), paired=False)
    # On a copy: others may run the model meanwhile, and their inputs would be counted too.
    hooks = [
        module.get_submodule(name).register_forward_pre_hook(
            lambda _layer, args, stream=stream: stream.add(args[0])  # type: ignore[misc]
        )
        for name, stream in streams.items()
    ]
    with attached(hooks):
        for start in range(0, len(images), _BATCH):
            if should_stop():
                raise Stopped
            module(images.inputs(start, start + _BATCH))
            tell(min(1.0, (start + _BATCH) / len(images)))
    free = free_biases(module)
    found = {name: stream.moments() for name, stream in streams.items()}
    return {name: moments.centred if name in free else moments for name, moments in found.items()}


def loss_gradients(
    model: LoadedModel, images: Images, *, tell: Tell, should_stop: ShouldStop
) -> dict[str, Tensor]:
    """Gradients of the mean cross-entropy of each of a few batches, float32 [batches, M, K] per layer."""
    images, module = images.head(IMAGES), copy.deepcopy(model.module).requires_grad_(True)
    weights = {info.name: module.get_submodule(info.name).weight for info in model.layers}
    found: dict[str, list[Tensor]] = {name: [] for name in weights}
    size = -(-len(images) // _GRADIENTS)
    for start in range(0, len(images), size):
        if should_stop():
            raise Stopped
        with torch.enable_grad():
            loss = F.cross_entropy(
                module(images.inputs(start, start + size)), images.labels[start : start + size]
            )
            gradients = torch.autograd.grad(loss, list(weights.values()))  # type: ignore[arg-type]
        for name, gradient in zip(weights, gradients, strict=True):
            found[name].append(gradient.flatten(1))
        tell(min(1.0, (start + size) / len(images)))
    return {name: torch.stack(parts) for name, parts in found.items()}


INPUTS, GRADIENTS = "inputs", "gradients"
_COLLECTORS: dict[str, Callable[..., ModelStats]] = {INPUTS: input_moments, GRADIENTS: loss_gradients}


def collect(
    needs: str,
    model: LoadedModel,
    images: Images,
    *,
    tell: Tell = lambda _share: None,
    should_stop: ShouldStop = lambda: False,
) -> ModelStats:
    """What a criterion `needs` (INPUTS or GRADIENTS) of every prunable layer. Raises Stopped, SpecError."""
    return _COLLECTORS[needs](model, images, tell=tell, should_stop=should_stop)


def calibration_images(model: LoadedModel, folder: Path | None = None, *, seed: int = 0) -> Images:
    """The calibration images of the model's data set, in the order of `seed`.

    Raises SpecError where it has none, DataError.
    """
    if model.dataset is None:
        raise SpecError(
            f"Expected a model with images to calibrate on; {model.name} has none. {model.no_accuracy} "
            "Choose a criterion that looks at weights alone: l2 or l1."
        )
    return drawn(load_images(model.dataset, "calibration", folder), seed)
