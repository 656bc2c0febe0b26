"""Images that are at hand, and only those."""

from __future__ import annotations

from pathlib import Path

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
