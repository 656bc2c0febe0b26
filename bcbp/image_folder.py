"""Folders of images: train/CLASS/*.png and val/CLASS/*.png as ImageNet has them, or CLASS/*.png alone.

Images are read as they are needed. Classes are numbered in the sorted order of their folders' names, which
is ImageNet's own. Images of val/ are the test images; the validation images are held out of train/. Without
these two folders half of the images of each class, drawn once, are the test images, and the other half stands
for train/.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from bcbp.data import DataSet, normalise, split_training
from bcbp.errors import DataError
from bcbp.intake.model import LoadedModel

if TYPE_CHECKING:
    from PIL.Image import Image

_MEAN, _STD = (
    (0.485, 0.456, 0.406),
    (0.229, 0.224, 0.225),
)  # of ImageNet, as torchvision's weights expect them
_SHRINK = 224 / 256  # what the evaluation crop leaves of the resized image, torchvision's usual share
_MOST_HELD_OUT, _CALIBRATION = 5000, 5000
# Share of the area, and width by height, of what training crops: those of torchvision's RandomResizedCrop.
_AREA, _ASPECT = (0.08, 1.0), (3 / 4, 4 / 3)
SPLITS = ("train", "val")


def with_image_folder(model: LoadedModel, folder: Path | None) -> LoadedModel:
    """`model` with the images of `folder`, where it has no data set of its own. Raises DataError."""
    if folder is None or model.dataset is not None:
        return model
    dataset = image_folder(folder, model.input_shape)
    with torch.no_grad():
        outputs = model.module(torch.zeros(1, *model.input_shape)).shape[1]
    if outputs != len(dataset.classes):
        raise DataError(
            f"Expected {outputs} class folders in {folder}, one for each output of {model.name}; "
            f"got {len(dataset.classes)}."
        )
    order = f"Classes in the sorted order of their folders: {_ends(dataset.classes)}."
    return replace(model, dataset=dataset, note=" ".join(part for part in (model.note, order) if part))


def image_folder(folder: Path, shape: tuple[int, int, int]) -> DataSet:
    """The images of `folder`, for inputs of `shape`.

    Raises DataError for a split that is missing, has a class without images, or other classes than the other.
    """
    if any((folder / split).is_dir() for split in SPLITS):
        classes, train, test = _both_splits(folder)
        how = "in sorted order"
    else:
        classes, train, test = _halves(folder)
        how = "in sorted order, half of each tested"
    channels = shape[0]
    dataset = DataSet(
        name=folder.name,
        title=f"{folder.name} ({len(classes)} classes, {_ends(classes)}, {how})",
        shape=shape,
        classes=classes,
        mean=_MEAN if channels == 3 else (float(np.mean(_MEAN)),),
        std=_STD if channels == 3 else (float(np.mean(_STD)),),
        read=_not_at_once,
        held_out=min(_MOST_HELD_OUT, len(train) // 10),
        calibration=_CALIBRATION,
    )
    return replace(dataset, open=partial(_part, dataset, train, test))


def _ends(classes: Sequence[str]) -> str:
    return f"0 is {classes[0]}, {len(classes) - 1} is {classes[-1]}"


def _not_at_once(_train: bool, _folder: Path | None) -> tuple[np.ndarray, np.ndarray]:
    raise DataError("Expected images that fit into memory; these lie one a file and are read as needed.")


Samples = Sequence[tuple[str, int]]


def _both_splits(folder: Path) -> tuple[tuple[str, ...], Samples, Samples]:
    """Class names, and the samples of train/ and of val/."""
    for split in SPLITS:
        if not (folder / split).is_dir():
            raise DataError(
                f"Expected a folder {split} in {folder}, with a folder of images for each class; found none."
            )
    (classes, train), (others, test) = (_samples(folder / split) for split in SPLITS)
    if classes != others:
        odd = min(set(classes) ^ set(others))
        raise DataError(f"Expected the same classes in train/ and val/ of {folder}; {odd!r} is in one only.")
    return classes, train, test


def _halves(folder: Path) -> tuple[tuple[str, ...], Samples, Samples]:
    """Class names, and the samples of each class in two halves: of one image, the second half has it."""
    classes, samples = _samples(folder)
    by_class: dict[int, list[tuple[str, int]]] = {}
    for index in np.random.default_rng(20230207).permutation(len(samples)):
        by_class.setdefault(samples[index][1], []).append(samples[index])
    train = [sample for own in by_class.values() for sample in own[: len(own) // 2]]
    test = [sample for own in by_class.values() for sample in own[len(own) // 2 :]]
    return classes, sorted(train), sorted(test)


def _samples(folder: Path) -> tuple[tuple[str, ...], Samples]:
    """Class names, and (path, class) of every image. Raises DataError."""
    from torchvision.datasets import ImageFolder

    try:
        found = ImageFolder(str(folder))
    except OSError as error:
        cause = str(error).splitlines()[0].rstrip(".")
        raise DataError(f"Expected folders of images in {folder}, one for each class: {cause}.") from error
    return tuple(found.classes), found.samples


def _part(dataset: DataSet, train: Samples, test: Samples, part: str) -> FolderImages:
    samples = train
    if part == "test":
        # Classes lie one after the other: in a fixed random order the first thousand are of all of them.
        samples = [test[index] for index in np.random.default_rng(0).permutation(len(test))]
    else:
        samples = [train[index] for index in split_training(dataset, len(train))[part]]
    paths = tuple(Path(path) for path, _ in samples)
    return FolderImages(dataset, part, paths, torch.tensor([label for _, label in samples]))


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
        from PIL import Image

        try:
            with Image.open(path) as image:
                return image.convert("RGB" if self.dataset.shape[0] == 3 else "L")
        except OSError as error:  # UnidentifiedImageError is one
            raise DataError(
                f"Expected an image that can be read; {path} cannot ({type(error).__name__}). "
                "Repair or remove it."
            ) from error

    def _middle(self, image: Image) -> Image:
        from torchvision.transforms import functional

        _, height, width = self.dataset.shape
        resized = functional.resize(image, round(max(height, width) / _SHRINK), antialias=True)
        return functional.center_crop(resized, [height, width])

    def _part(self, image: Image, seed: int) -> Image:
        """By a generator of its own, so that it is the same whichever process and thread cuts it."""
        from torchvision.transforms import functional

        own = np.random.default_rng(seed)
        top, left, high, wide = _random_box(image.height, image.width, own)
        size = list(self.dataset.shape[1:])
        part = functional.resized_crop(image, top, left, high, wide, size, antialias=True)
        return functional.hflip(part) if own.random() < 0.5 else part


def _random_box(height: int, width: int, own: np.random.Generator) -> tuple[int, int, int, int]:
    """Top, left, height and width of a random part (Szegedy et al. 2015), all if ten draws do not fit."""
    for _ in range(10):
        area = height * width * own.uniform(*_AREA)
        aspect = np.exp(own.uniform(*np.log(_ASPECT)))
        high, wide = round(np.sqrt(area / aspect)), round(np.sqrt(area * aspect))
        if 0 < high <= height and 0 < wide <= width:
            return int(own.integers(height - high + 1)), int(own.integers(width - wide + 1)), high, wide
    return 0, 0, height, width
