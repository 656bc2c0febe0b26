"""Images that lie one a file, read as they are needed and prepared as the network expects them."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from bcbp.data import DataSet, normalise
from bcbp.intake.pictures import open_picture

if TYPE_CHECKING:
    from PIL.Image import Image

# Share of the area, and width by height, of what training crops: those of torchvision's RandomResizedCrop.
_AREA, _ASPECT = (0.08, 1.0), (3 / 4, 4 / 3)


@dataclass(frozen=True, eq=False)
class FolderImages:
    """Images of one part, one a file (see `bcbp.data.Images`). Raises DataError for one that is damaged."""

    dataset: DataSet
    part: str
    paths: tuple[Path, ...]
    labels: Tensor

    def __len__(self) -> int:
        return len(self.paths)

    def head(self, count: int) -> FolderImages:
        return replace(self, paths=self.paths[:count], labels=self.labels[:count])

    def take(self, chosen: Tensor) -> FolderImages:
        paths = tuple(self.paths[index] for index in chosen.tolist())
        return replace(self, paths=paths, labels=self.labels[chosen])

    def inputs(self, start: int = 0, stop: int | None = None) -> Tensor:
        """The middle of each image, as torchvision evaluates its own weights."""
        paths = self.paths[start:stop]
        return self._batch(paths, [None] * len(paths))

    def training_inputs(self, chosen: Tensor, generator: torch.Generator, share: slice) -> Tensor:
        """A random part of each image, resized, and mirrored half of the time."""
        seeds = torch.randint(2**31, (len(chosen),), generator=generator)[share].tolist()
        return self._batch([self.paths[index] for index in chosen[share].tolist()], seeds)

    def pixels(self, chosen: Tensor) -> Tensor:
        """The middle of each image at the indices `chosen`: uint8 [n, C, H, W]."""
        return self._decoded_all([self.paths[index] for index in chosen.tolist()], [None] * len(chosen))

    def _batch(self, paths: Sequence[Path], seeds: Sequence[int | None]) -> Tensor:
        return normalise(self._decoded_all(paths, seeds), self.dataset)

    def _decoded_all(self, paths: Sequence[Path], seeds: Sequence[int | None]) -> Tensor:
        if not paths:
            return torch.zeros(0, *self.dataset.shape, dtype=torch.uint8)
        with ThreadPoolExecutor(torch.get_num_threads()) as pool:
            return torch.stack(list(pool.map(self._pixels, paths, seeds)))

    def _pixels(self, path: Path, seed: int | None) -> Tensor:
        """uint8 [C, H, W]; a random part with a seed, the middle without."""
        from torchvision.transforms import functional

        image = self._decoded(path)
        return functional.pil_to_tensor(self._middle(image) if seed is None else self._part(image, seed))

    def _decoded(self, path: Path) -> Image:
        with open_picture(path) as image:
            return _eight_bits(image).convert("RGB" if self.dataset.shape[0] == 3 else "L")

    def _middle(self, image: Image) -> Image:
        from torchvision.transforms import InterpolationMode, functional

        how = self.dataset.preprocessing
        assert how is not None
        resized = functional.resize(image, [how.resize], InterpolationMode(how.interpolation), antialias=True)
        return functional.center_crop(resized, [how.height, how.width])

    def _part(self, image: Image, seed: int) -> Image:
        """By a generator of its own, so that it is the same whichever process and thread cuts it."""
        from torchvision.transforms import functional

        own = np.random.default_rng(seed)
        top, left, high, wide = _random_box(image.height, image.width, own)
        size = list(self.dataset.shape[1:])
        part = functional.resized_crop(image, top, left, high, wide, size, antialias=True)
        return functional.hflip(part) if own.random() < 0.5 else part


def _eight_bits(image: Image) -> Image:
    """Grey of 16 bits scaled to 8, which Pillow would cut off at 255 instead; all else as it is."""
    from PIL import Image

    if not image.mode.startswith("I;16"):
        return image
    return Image.fromarray((np.asarray(image) / 257).round().astype(np.uint8))  # 65535 = 255 * 257


def _random_box(height: int, width: int, own: np.random.Generator) -> tuple[int, int, int, int]:
    """Top, left, height and width of a random part (Szegedy et al. 2015), all if ten draws do not fit."""
    for _ in range(10):
        area = height * width * own.uniform(*_AREA)
        aspect = np.exp(own.uniform(*np.log(_ASPECT)))
        high, wide = round(np.sqrt(area / aspect)), round(np.sqrt(area * aspect))
        if 0 < high <= height and 0 < wide <= width:
            return int(own.integers(height - high + 1)), int(own.integers(width - wide + 1)), high, wide
    return 0, 0, height, width
