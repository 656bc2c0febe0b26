"""Images that are at hand, and only those."""

from __future__ import annotations

import gzip
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from bcbp import data
from bcbp.data import CIFAR10, FASHION_MNIST, images_at_hand, load_images, normalise
from bcbp.errors import DataError


def test_images_that_are_not_at_hand_are_not_fetched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def fetch(*_args: object, download: bool = True, **_options: object) -> None:
        assert not download
        raise RuntimeError("Dataset not found")

    monkeypatch.setattr("torchvision.datasets.CIFAR10", fetch)
    monkeypatch.setattr(data, "_DOWNLOADS", tmp_path)
    with pytest.raises(DataError, match="found neither"):
        images_at_hand(CIFAR10, "test")
    (tmp_path / "cifar-10-batches-py").mkdir()  # of an earlier download, and incomplete
    with pytest.raises(DataError, match="Name the folder that holds them"):
        images_at_hand(CIFAR10, "test")


def test_bundled_images_are_at_hand_and_their_pixels_are_what_networks_see() -> None:
    images, chosen = images_at_hand(FASHION_MNIST, "test"), torch.tensor([9, 3])
    assert torch.equal(images.labels, load_images(FASHION_MNIST, "test").labels)
    assert torch.equal(normalise(images.pixels(chosen), FASHION_MNIST), images.inputs(0, 10)[chosen])


def test_images_of_a_folder_are_taken_without_a_warning(tmp_path: Path) -> None:
    for stem, header, shape in (("images-idx3", 0x803, (4, 28, 28)), ("labels-idx1", 0x801, (4,))):
        values = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
        data = np.array([header, *shape], ">i4").tobytes() + values.tobytes()
        (tmp_path / f"t10k-{stem}-ubyte.gz").write_bytes(gzip.compress(data))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        images = load_images(FASHION_MNIST, "test", tmp_path)
    assert len(images) == 4 and images.labels.tolist() == [0, 1, 2, 3]
