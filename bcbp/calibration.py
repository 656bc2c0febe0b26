"""What calibration images tell of a layer's inputs: second moments, streamed in blocks of images.

Inputs are the columns X [K, N] of im2col, rows in the order of `weight.flatten(1)`, one column a position of
the output. A grouped convolution has one matrix per group.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Layer = nn.Conv2d | nn.Linear

# Of im2col columns at once: beside the K x K matrices this is all that a layer takes.
_BLOCK_BYTES = 64 * 1024**2


@dataclass(frozen=True, eq=False)
class Moments:
    """Moments of a layer's inputs over `positions`, float32, per group.

    X̂ are the inputs as they are, X the original ones at the same positions: `gram` is X̂ X̂ᵀ / N and `cross`
    X X̂ᵀ / N [groups, K, K]; `mean` and `original_mean` [groups, K].
    """

    gram: Tensor
    cross: Tensor
    mean: Tensor
    original_mean: Tensor
    positions: int

    @property
    def centred(self) -> Moments:
        """Covariances in place of second moments."""
        return Moments(
            self.gram - self.mean[:, :, None] * self.mean[:, None],
            self.cross - self.original_mean[:, :, None] * self.mean[:, None],
            self.mean,
            self.original_mean,
            self.positions,
        )


def naive_columns(layer: Layer, x: Tensor) -> Tensor:
    """The slow twin: X [groups, K, N] over all positions in float64."""
    if isinstance(layer, nn.Linear):
        return x.double().flatten(0, -2).T[None]
    unfolded = F.unfold(x.double(), layer.kernel_size, layer.dilation, layer.padding, layer.stride)  # type: ignore[arg-type]
    return unfolded.transpose(0, 1).flatten(1).view(layer.groups, layer.weight[0].numel(), -1)


def windows(layer: Layer, x: Tensor) -> Tensor:
    """What each output position reads, as a view of the padded input: [N, positions..., values...]."""
    if isinstance(layer, nn.Linear):
        return x.reshape(len(x), -1, 1, x.shape[-1])
    (kh, kw), (sh, sw), (ph, pw), (dh, dw) = (
        layer.kernel_size, layer.stride, layer.padding, layer.dilation,
    )  # fmt: skip
    padded = F.pad(x, (pw, pw, ph, ph))
    spans = padded.unfold(2, dh * (kh - 1) + 1, sh).unfold(3, dw * (kw - 1) + 1, sw)
    return spans[..., ::dh, ::dw].permute(0, 2, 3, 1, 4, 5)


def columns(layer: Layer, x: Tensor, positions: Tensor) -> Tensor:
    """Xᵀ at chosen `positions` int64 [N, P] of each image: float32 [groups, N * P, K]."""
    view = windows(layer, x)
    image = torch.arange(len(x))[:, None].expand_as(positions)
    picked = view[image, positions // view.shape[2], positions % view.shape[2]]
    groups = layer.groups if isinstance(layer, nn.Conv2d) else 1
    return picked.reshape(positions.numel(), groups, -1).transpose(0, 1)


def choose(images: int, available: int, wanted: int, generator: torch.Generator) -> Tensor:
    """`wanted` of the positions of every image, drawn without repetition; all where there are no more."""
    if wanted >= available:
        return torch.arange(available).expand(images, available)
    return torch.rand(images, available, generator=generator).topk(wanted, sorted=False).indices


def moments(
    layer: Layer, inputs: Iterable[tuple[Tensor, Tensor]], *, per_image: int, generator: torch.Generator
) -> Moments:
    """Stream pairs (original, current) of input batches [N, ...]; `per_image` positions of each count."""
    groups = layer.groups if isinstance(layer, nn.Conv2d) else 1
    size = layer.weight[0].numel()
    gram, cross = torch.zeros(2, groups, size, size).unbind()
    mean, original_mean = torch.zeros(2, groups, size, dtype=torch.float64).unbind()
    count = 0
    for original, current in inputs:
        for x, z in _blocks(layer, original, current, per_image):
            shape = windows(layer, z[:1]).shape
            positions = choose(len(z), shape[1] * shape[2], per_image, generator)
            now = columns(layer, z, positions)
            before = now if x is z else columns(layer, x, positions)
            gram.baddbmm_(now.transpose(1, 2), now)
            cross.baddbmm_(before.transpose(1, 2), now)
            mean += now.sum(1)
            original_mean += before.sum(1)
            count += positions.numel()
    gram /= count
    cross /= count
    return Moments(gram, cross, (mean / count).float(), (original_mean / count).float(), count)


def _blocks(layer: Layer, original: Tensor, current: Tensor, per_image: int) -> Iterator[tuple[Tensor, Tensor]]:
    shape = windows(layer, current[:1]).shape
    rows = min(per_image, shape[1] * shape[2])
    images = max(1, _BLOCK_BYTES // (4 * rows * layer.weight[0].numel()))
    if original is current:
        return ((part, part) for part in current.split(images))
    return zip(original.split(images), current.split(images), strict=True)
