"""Images with labels: where each data set comes from, its parts, and how pixels become inputs.

Parts of a data set: `test` (the published test images; pruning choices never see them),
`validation` (held out of training, for choices), `calibration` (a slice of the images the model was
trained on, for statistics) and `train` (everything that training uses).
"""

from __future__ import annotations

import gzip
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from bcbp.augmentation import augment
from bcbp.errors import DataError
from bcbp.preprocessing import Preprocessing

ASSETS = Path(__file__).resolve().parent.parent / "assets"
PARTS = ("train", "calibration", "validation", "test")
_DOWNLOADS = Path("data")  # where torchvision's own downloads are put, and looked for


@dataclass(frozen=True)
class DataSet:
    """What a data set is: its name, shape, classes, channel statistics (of training) and reader.

    `held_out` training images, chosen by a fixed seed, are `validation`; `calibration` more come from the
    images that are trained on. Training shifts images by up to `crop` pixels. `open` gives a part of images
    that lie one a file, too many to hold; then nothing is read at once. Those are prepared by
    `preprocessing`, and `digest` tells sets apart that other files or another preprocessing make.
    """

    name: str
    title: str
    shape: tuple[int, int, int]
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    read: Callable[[bool, Path | None], tuple[np.ndarray, np.ndarray]]
    held_out: int
    calibration: int
    crop: int = 0
    open: Callable[[str], Images] | None = None
    preprocessing: Preprocessing | None = None
    digest: str = ""


class Images(Protocol):
    """Images of one part of a data set with their `labels` int64 [N], wherever they lie."""

    @property
    def part(self) -> str: ...

    @property
    def labels(self) -> Tensor: ...

    def __len__(self) -> int: ...

    def inputs(self, start: int = 0, stop: int | None = None) -> Tensor:
        """Normalised float32 [n, C, H, W], channels_last, of images start..stop."""
        ...

    def training_inputs(self, chosen: Tensor, generator: torch.Generator, share: slice) -> Tensor:
        """As `inputs`, of the images `chosen` and randomly changed; of those, the `share` of one process.

        The generator moves on by the whole batch, so that the share changes nothing of the images.
        """
        ...

    def pixels(self, chosen: Tensor) -> Tensor:
        """The images at the indices `chosen` as networks see them but for the scale: uint8 [n, C, H, W]."""
        ...

    def head(self, count: int) -> Images:
        """The first `count` images, or all if there are fewer."""
        ...

    def take(self, chosen: Tensor) -> Images:
        """The images at the indices `chosen`, int64 [n], in that order."""
        ...


@dataclass(frozen=True)
class ImageSet:
    """`images` uint8 [N, C, H, W] and `labels` int64 [N] of one part of a data set, in memory."""

    dataset: DataSet
    part: str
    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def inputs(self, start: int = 0, stop: int | None = None) -> Tensor:
        """Normalised float32 [n, C, H, W], channels_last, of images start..stop."""
        return normalise(self.images[start:stop], self.dataset)

    def training_inputs(self, chosen: Tensor, generator: torch.Generator, share: slice) -> Tensor:
        """Shifted and mirrored (see `augment`)."""
        changed = augment(self.images[chosen], self.dataset.crop, generator)
        return normalise(changed[share], self.dataset)

    def pixels(self, chosen: Tensor) -> Tensor:
        """The images at the indices `chosen`: uint8 [n, C, H, W]."""
        return self.images[chosen]

    def head(self, count: int) -> ImageSet:
        """The first `count` images, or all if there are fewer."""
        return replace(self, images=self.images[:count], labels=self.labels[:count])

    def take(self, chosen: Tensor) -> ImageSet:
        """The images at the indices `chosen`, int64 [n], in that order."""
        return replace(self, images=self.images[chosen], labels=self.labels[chosen])


def normalise(images: Tensor, dataset: DataSet) -> Tensor:
    """uint8 [N, C, H, W] to float32 with zero mean and unit variance per channel, channels_last."""
    mean = torch.tensor(dataset.mean).view(1, -1, 1, 1)
    std = torch.tensor(dataset.std).view(1, -1, 1, 1)
    scaled = (images.float() / 255 - mean) / std
    return scaled.contiguous(memory_format=torch.channels_last)


def _read_idx(path: Path) -> np.ndarray:
    """One gzipped IDX file (the format of MNIST: big-endian header, then bytes)."""
    raw = gzip.decompress(path.read_bytes())
    dims = raw[3]
    shape = np.frombuffer(raw, ">i4", dims, 4)
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * dims).reshape(shape)


_FASHION_FOLDERS = (
    Path("/usr/share/datasets/fashion-mnist"),
    Path("data/FashionMNIST/raw"),
)


def _read_fashion_mnist(train: bool, folder: Path | None) -> tuple[np.ndarray, np.ndarray]:
    stem = "train" if train else "t10k"
    for place in (folder,) if folder else _FASHION_FOLDERS:
        if (place / f"{stem}-images-idx3-ubyte.gz").exists():
            images = _read_idx(place / f"{stem}-images-idx3-ubyte.gz")
            return images[:, None], _read_idx(place / f"{stem}-labels-idx1-ubyte.gz")
    if folder:
        raise DataError(f"Expected {stem}-images-idx3-ubyte.gz in {folder}; found none. Check --data.")
    return _from_torchvision("FashionMNIST", train)


def _read_cifar10(train: bool, folder: Path | None) -> tuple[np.ndarray, np.ndarray]:
    if folder is None:
        return _from_torchvision("CIFAR10", train)
    if (folder / "cifar-10-batches-py").is_dir():
        return _from_torchvision("CIFAR10", train, folder=folder, download=False)
    path = folder / f"cifar10_{'train' if train else 'test'}.npz"
    if not path.exists():
        raise DataError(
            f"Expected cifar-10-batches-py or {path.name} (arrays x uint8 NHWC, y) in {folder}; "
            "found neither. Name the folder that holds them."
        )
    with np.load(path) as arrays:
        return arrays["x"].transpose(0, 3, 1, 2), arrays["y"]


def _from_torchvision(
    name: str, train: bool, *, folder: Path = _DOWNLOADS, download: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """From the files of torchvision's own download in `folder`, fetched into it if they may be."""
    from torchvision import datasets

    try:
        source = getattr(datasets, name)(folder, train=train, download=download)
    except (OSError, RuntimeError) as error:
        raise DataError(
            f"The images of {name} are not in {folder} or cannot be fetched there ({type(error).__name__}). "
            "Name the folder that holds them, or connect to the internet."
        ) from error
    images = np.asarray(source.data)
    images = images[:, None] if images.ndim == 3 else images.transpose(0, 3, 1, 2)
    return images, np.asarray(source.targets)


FASHION_MNIST = DataSet(
    name="fashion-mnist",
    title="Fashion-MNIST",
    shape=(1, 28, 28),
    classes=(
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ),
    mean=(0.2860,),
    std=(0.3530,),
    read=_read_fashion_mnist,
    held_out=5000,
    calibration=5000,
    crop=2,
)
CIFAR10 = DataSet(
    name="cifar10",
    title="CIFAR-10",
    shape=(3, 32, 32),
    classes=(
        "airplane",
        "automobile",
        "bird",
        "cat",
        "deer",
        "dog",
        "frog",
        "horse",
        "ship",
        "truck",
    ),
    mean=(0.4914, 0.4822, 0.4465),
    std=(0.2470, 0.2435, 0.2616),
    read=_read_cifar10,
    held_out=2500,
    calibration=5000,
    crop=4,
)


def bundled_file(dataset: DataSet) -> Path:
    """Where the images that ship with the product lie (they exist for Fashion-MNIST only)."""
    return ASSETS / "data" / f"{dataset.name}.npz"


def load_images(dataset: DataSet, part: str, folder: Path | None = None) -> Images:
    """One part of a data set: from `folder` if given, else bundled, else a local copy or download.

    Raises DataError when `part` is unknown or the images cannot be found.
    """
    if part not in PARTS:
        raise DataError(f"Expected a part out of {', '.join(PARTS)}; got {part!r}.")
    if dataset.open:
        return dataset.open(part)
    bundled = bundled_file(dataset)
    if folder is None and bundled.exists() and part != "train":
        with np.load(bundled) as arrays:
            images, labels = arrays[f"{part}_images"], arrays[f"{part}_labels"]
    else:
        images, labels = dataset.read(part != "test", folder)
        if part != "test":
            chosen = split_training(dataset, len(labels))[part]
            images, labels = images[chosen], labels[chosen]
    return ImageSet(
        dataset,
        part,
        torch.from_numpy(np.require(images, requirements=("C", "W"))),  # a file's bytes are read-only
        torch.from_numpy(labels.astype(np.int64)),
    )


def drawn(images: Images, seed: int) -> Images:
    """All images in the random order of `seed`: who takes the first ones takes a random sample."""
    return images.take(torch.randperm(len(images), generator=torch.Generator().manual_seed(seed)))


def images_at_hand(dataset: DataSet, part: str, folder: Path | None = None) -> Images:
    """As `load_images`, but nothing is downloaded. Raises DataError."""
    if folder is None and not bundled_file(dataset).exists():
        folder = _DOWNLOADS
    return load_images(dataset, part, folder)


def training_images(dataset: DataSet, folder: Path | None = None) -> Images:
    """The images to train on: part "train", or "calibration" where only that ships and no copy is found.

    Nothing is fetched for a data set that ships. Raises DataError.
    """
    if folder is not None or not bundled_file(dataset).exists():
        return load_images(dataset, "train", folder)
    images = "train-images-idx3-ubyte.gz"
    local = next((place for place in _FASHION_FOLDERS if (place / images).exists()), None)
    return load_images(dataset, "train", local) if local else load_images(dataset, "calibration")


def split_training(dataset: DataSet, total: int) -> dict[str, np.ndarray]:
    """Indices of `train`, `calibration` (inside train) and `validation` (outside it), the same every time."""
    order = np.random.default_rng(20230207).permutation(total)
    held, rest = order[: dataset.held_out], order[dataset.held_out :]
    return {"validation": held, "train": rest, "calibration": rest[: dataset.calibration]}


def write_bundle(dataset: DataSet, folder: Path | None = None) -> Path:
    """Write the parts that ship (test, validation, calibration) as one compressed file; returns its path."""
    path = bundled_file(dataset)
    arrays: dict[str, Any] = {}
    train, train_labels = dataset.read(True, folder)
    split = split_training(dataset, len(train_labels))
    for part in ("calibration", "validation"):
        arrays[f"{part}_images"], arrays[f"{part}_labels"] = train[split[part]], train_labels[split[part]]
    arrays["test_images"], arrays["test_labels"] = dataset.read(False, folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, **arrays)
    return path
