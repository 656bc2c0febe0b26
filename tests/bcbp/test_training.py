"""Training is reproducible from a seed, resumes where it stopped, and never looks at test images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from bcbp import augmentation, bundled, data, training
from bcbp.errors import DataError, ModelError
from bcbp.intake.residual import ResidualNet, cifar_resnet20, sample_net

RECIPE = training.Recipe(epochs=2, batch=16, peak_rate=0.05)


def tiny() -> nn.Module:
    return ResidualNet(in_channels=1, widths=(8, 8), blocks=(1, 1), classes=10)


@pytest.fixture
def images() -> data.ImageSet:
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (64, 1, 12, 12), generator=generator, dtype=torch.uint8)
    return data.ImageSet(
        data.FASHION_MNIST, "train", pixels, torch.randint(0, 10, (64,), generator=generator)
    )


def weights(model: nn.Module) -> torch.Tensor:
    return torch.cat([value.flatten().float() for value in model.state_dict().values()])


def test_the_same_seed_gives_the_same_weights(images: data.ImageSet, tmp_path: Path) -> None:
    first = bundled.train(tiny, images, RECIPE, checkpoint=tmp_path / "a.pt")
    second = bundled.train(tiny, images, RECIPE, checkpoint=tmp_path / "b.pt")
    torch.testing.assert_close(weights(first), weights(second), rtol=1e-3, atol=1e-3)


def test_a_stopped_training_goes_on_where_it_was(
    images: data.ImageSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = bundled.train(tiny, images, RECIPE, checkpoint=tmp_path / "whole.pt")
    epoch, epochs = training.Training.epoch, []

    def stop_in_the_second_epoch(self: training.Training, number: int, **options: object):  # type: ignore[no-untyped-def]
        epochs.append(number)
        if epochs == [0, 1]:
            raise KeyboardInterrupt
        return epoch(self, number, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(training.Training, "epoch", stop_in_the_second_epoch)
    with pytest.raises(KeyboardInterrupt):
        bundled.train(tiny, images, RECIPE, checkpoint=tmp_path / "part.pt")
    resumed = bundled.train(tiny, images, RECIPE, checkpoint=tmp_path / "part.pt")
    assert epochs == [0, 1, 1]
    torch.testing.assert_close(weights(resumed), weights(whole), rtol=1e-3, atol=1e-3)


def test_the_rate_rises_once_and_falls_to_zero() -> None:
    rates = [RECIPE.rate(step / 100) for step in range(101)]
    peak = rates.index(max(rates))
    assert rates[0] == 0
    assert max(rates) == pytest.approx(RECIPE.peak_rate, rel=0.01)
    assert rates[:peak] == sorted(rates[:peak])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert rates[-1] == pytest.approx(0, abs=1e-9)


def test_augmentation_shifts_and_mirrors_but_invents_nothing() -> None:
    image = torch.zeros(200, 1, 9, 9, dtype=torch.uint8)
    image[:, :, 4, 4] = 7
    moved = augmentation.augment(image, 2, torch.Generator().manual_seed(1))
    assert moved.shape == image.shape
    assert (moved.flatten(1).sum(1) == 7).all()
    assert len(moved.flatten(1).argmax(1).unique()) == 25


def test_the_parts_of_a_data_set_do_not_overlap() -> None:
    for dataset in (data.FASHION_MNIST, data.CIFAR10):
        split = data.split_training(dataset, 50_000)
        assert not np.intersect1d(split["validation"], split["train"]).size
        assert np.isin(split["calibration"], split["train"]).all()
        assert len(split["validation"]) == dataset.held_out


@pytest.mark.parametrize(("build", "low", "high"), [(sample_net, 1.0e6, 3e6), (cifar_resnet20, 2.5e5, 3e5)])
def test_the_models_have_the_size_their_cards_say(build, low: float, high: float) -> None:  # type: ignore[no-untyped-def]
    assert low < sum(parameter.numel() for parameter in build().parameters()) < high


def test_bad_requests_are_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="got 'resnet18'"):
        bundled.train_sample("resnet18")
    with pytest.raises(DataError, match=r"cifar10_train\.npz"):
        bundled.train_sample("cifar-resnet20", data=tmp_path)
    with pytest.raises(DataError, match="train-images-idx3-ubyte"):
        bundled.train_sample("sample", data=tmp_path)
    with pytest.raises(DataError, match="got 'tset'"):
        data.load_images(data.FASHION_MNIST, "tset")
