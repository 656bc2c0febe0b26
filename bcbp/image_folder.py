"""Folders of images: train/CLASS/*.png and val/CLASS/*.png as ImageNet has them, or CLASS/*.png alone.

Images are read as they are needed. Classes are numbered in the sorted order of their folders' names, which
is ImageNet's own. Images of val/ are the test images; the validation images are held out of train/. Without
these two folders half of the images of each class, drawn once, are the test images, and the other half stands
for train/.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from math import ceil
from pathlib import Path

import numpy as np
import torch

from bcbp.data import DataSet, split_training
from bcbp.errors import DataError, SpecError
from bcbp.folder_images import FolderImages
from bcbp.intake.expectation import expected_preprocessing
from bcbp.intake.model import LoadedModel
from bcbp.intake.pictures import ENDINGS, SPLITS
from bcbp.preprocessing import Adjustment, Preprocessing

_MOST_HELD_OUT, _CALIBRATION = 5000, 5000
_LEAST = 2  # images besides the tested ones: validation and calibration have one each
# Of how many files, evenly chosen, the end is looked at: whole ones would take minutes for ImageNet. Where
# pictures are compressed, what differs anywhere differs at the end.
_ENDS, _END_BYTES = 4096, 1 << 14
_AS_IS = Adjustment()


def with_image_folder(
    model: LoadedModel, folder: Path | None, adjustment: Adjustment = _AS_IS
) -> LoadedModel:
    """`model` with the pictures of `folder`, prepared as it expects them but for `adjustment`.

    A model that has a data set keeps it where `folder` holds something else, such as the files of that set.
    Raises DataError, and SpecError for an adjustment of nothing.
    """
    if folder is None or (model.dataset is not None and not _has_pictures(folder)):
        if adjustment:
            raise SpecError(
                "Expected a folder or a zip of pictures with --resize, --mean or --std; got none. Name it by "
                "--data."
            )
        return model
    dataset = image_folder(folder, adjustment.apply(expected_preprocessing(model)))
    with torch.no_grad():
        outputs = model.module(torch.zeros(1, *model.input_shape)).shape[1]
    if outputs != len(dataset.classes):
        raise DataError(
            f"Expected {outputs} class folders in {folder}, one for each output of {model.name}; "
            f"got {len(dataset.classes)}."
        )
    order = f"Classes in the sorted order of their folders: {_ends(dataset.classes)}."
    return replace(model, dataset=dataset, note=" ".join(part for part in (model.note, order) if part))


def _has_pictures(folder: Path) -> bool:
    """Whether a picture lies in a folder of `folder`, however deep: that is where `image_folder` looks.

    Raises DataError where there is no such folder.
    """
    if not folder.is_dir():
        raise DataError(f"Expected a folder of images at {folder}; there is none. Check the path.")
    inside = (path for path in folder.iterdir() if path.is_dir())
    places = (place for path in inside for place in os.walk(path, followlinks=True))
    return any(name.lower().endswith(ENDINGS) for _, _, names in places for name in names)


def image_folder(folder: Path, preprocessing: Preprocessing) -> DataSet:
    """The images of `folder`, prepared by `preprocessing`.

    Raises DataError for a split that is missing, has a class without images, or other classes than the other,
    and where fewer than two images are left to train on.
    """
    classes, train, test = found = samples_in(folder)
    how = "in sorted order" if _has_splits(folder) else "in sorted order, half of each tested"
    dataset = DataSet(
        name=folder.name,
        title=f"{folder.name} ({len(classes)} classes, {_ends(classes)}, {how})",
        shape=preprocessing.shape,
        classes=classes,
        mean=preprocessing.mean,
        std=preprocessing.std,
        read=_not_at_once,
        held_out=min(_MOST_HELD_OUT, max(1, len(train) // 10)),
        calibration=_CALIBRATION,
        preprocessing=preprocessing,
        digest=_digest(folder, found, preprocessing),
    )
    return replace(dataset, open=partial(_part, dataset, train, test))


def _digest(folder: Path, found: Found, preprocessing: Preprocessing) -> str:
    """Of the folder's name, in which is that of a zip's content, of names, sizes and ends of files, and of
    preprocessing. Times of change are left out: a copy on another machine is the same set.
    """
    classes, *parts = found
    files = [[(path[len(str(folder)) :], os.stat(path).st_size) for path, _ in part] for part in parts]
    content = [folder.name, classes, files, replace(preprocessing, reason="").to_json()]
    digest = hashlib.sha256(json.dumps(content).encode())
    paths = [path for part in parts for path, _ in part]
    for path in paths[:: ceil(len(paths) / _ENDS)]:
        digest.update(_end(path))
    return digest.hexdigest()[:12]


def _end(path: str) -> bytes:
    with open(path, "rb") as file:
        file.seek(max(0, os.stat(path).st_size - _END_BYTES))
        return file.read()


def _ends(classes: Sequence[str]) -> str:
    return f"0 is {classes[0]}, {len(classes) - 1} is {classes[-1]}"


def _not_at_once(_train: bool, _folder: Path | None) -> tuple[np.ndarray, np.ndarray]:
    raise DataError("Expected images that fit into memory; these lie one a file and are read as needed.")


Samples = Sequence[tuple[str, int]]
Found = tuple[tuple[str, ...], Samples, Samples]


def samples_in(folder: Path) -> Found:
    """Class names, and the samples to train on and to test. Raises DataError (see `image_folder`)."""
    found = _both_splits(folder) if _has_splits(folder) else _halves(folder)
    if (left := len(found[1])) < _LEAST:
        raise DataError(
            f"Expected at least {_LEAST} images in {folder} besides those that are tested, one to calibrate "
            f"on and one to choose by; got {left}. Add images."
        )
    return found


def _has_splits(folder: Path) -> bool:
    return any((folder / split).is_dir() for split in SPLITS)


def _both_splits(folder: Path) -> Found:
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


def _halves(folder: Path) -> Found:
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
