"""ImageNet-style folders: parts that do not overlap, classes in a stated order, a sentence for a mistake."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from bcbp.data import load_images, normalise
from bcbp.errors import DataError
from bcbp.folder_images import FolderImages
from bcbp.image_folder import image_folder, with_image_folder
from bcbp.intake.model import LoadedModel, adopt
from bcbp.preprocessing import usual
from tests.bcbp.intake.picture_zips import grey

CLASSES = ("n01", "n02", "n10")
SHAPE = (3, 16, 16)
HOW = usual(SHAPE, "a test")


def write_folder(folder: Path, *, train: int = 20, val: int = 6, classes: tuple[str, ...] = CLASSES) -> Path:
    """Images of one colour per class, with noise, of several sizes."""
    generator = np.random.default_rng(0)
    for split, count in (("train", train), ("val", val)):
        for label, name in enumerate(classes):
            (folder / split / name).mkdir(parents=True)
            for index in range(count):
                pixels = generator.integers(0, 60, (20 + index % 3, 24, 3), dtype=np.uint8)
                pixels[..., label % 3] += 180
                Image.fromarray(pixels).save(folder / split / name / f"{index}.png")
    return folder


def model_of(classes: int = 3) -> LoadedModel:
    layers = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, classes)
    )
    return adopt(layers, name="mine", input_shape=SHAPE)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("made"))


def test_the_parts_do_not_overlap_and_val_is_the_test_part(folder: Path) -> None:
    dataset = image_folder(folder, HOW)
    parts = {part: load_images(dataset, part) for part in ("train", "calibration", "validation", "test")}
    assert {part: len(images) for part, images in parts.items()} == {
        "train": 54, "calibration": 54, "validation": 6, "test": 18,
    }  # fmt: skip
    paths = {part: set(images.paths) for part, images in parts.items()}  # type: ignore[attr-defined]
    assert not paths["train"] & paths["validation"] and paths["calibration"] <= paths["train"]
    assert all(path.parts[-3] == "val" for path in paths["test"])


def test_class_folders_alone_are_tested_by_halves(folder: Path) -> None:
    dataset = image_folder(folder / "train", HOW)
    assert "half of each tested" in dataset.title and dataset.classes == CLASSES
    parts = {part: load_images(dataset, part) for part in ("train", "validation", "test")}
    paths = {part: set(images.paths) for part, images in parts.items()}  # type: ignore[attr-defined]
    assert len(paths["test"]) == 30 and parts["test"].labels.bincount().tolist() == [10, 10, 10]
    assert not paths["test"] & (paths["train"] | paths["validation"])
    assert len(paths["train"] | paths["validation"]) == 30
    again = load_images(image_folder(folder / "train", HOW), "test")
    assert again.paths == parts["test"].paths  # type: ignore[attr-defined]


@pytest.mark.parametrize("split", [True, False])
def test_the_smallest_set_has_an_image_for_each_part_and_a_smaller_one_is_refused(
    split: bool, tmp_path: Path
) -> None:
    small, smaller = (
        write_folder(tmp_path / str(count), train=count, val=1, classes=("a",))
        for count in ((2, 1) if split else (4, 3))
    )
    places = (small, smaller) if split else (small / "train", smaller / "train")
    dataset = image_folder(places[0], HOW)
    assert all(len(load_images(dataset, part)) for part in ("train", "calibration", "validation", "test"))
    with pytest.raises(
        DataError, match=r"at least 2 images in .* besides those that are tested, .*; got 1\. Add images\."
    ):
        image_folder(places[1], HOW)


def test_labels_follow_the_sorted_names_and_pixels_the_labels(folder: Path) -> None:
    images = load_images(image_folder(folder, HOW), "test")
    inputs = images.inputs()
    assert inputs.shape == (18, *SHAPE) and inputs.is_contiguous(memory_format=torch.channels_last)
    assert inputs.mean((2, 3)).argmax(1).equal(images.labels)
    assert images.head(4).inputs().equal(images.inputs(0, 4)) and len(images.head(100)) == 18
    assert len(set(images.labels[:6].tolist())) > 1
    assert images.inputs(5, 5).shape == (0, *SHAPE)


def test_training_images_are_random_parts_the_same_for_the_same_seed_and_share(folder: Path) -> None:
    images, chosen = load_images(image_folder(folder, HOW), "train"), torch.arange(8)

    def drawn(seed: int, share: slice) -> torch.Tensor:
        return images.training_inputs(chosen, torch.Generator().manual_seed(seed), share)

    whole = drawn(0, slice(None))
    assert drawn(0, slice(None)).equal(whole)
    assert torch.cat([drawn(0, slice(0, 4)), drawn(0, slice(4, 8))]).equal(whole)
    assert not drawn(1, slice(None)).equal(whole)
    assert whole.mean((2, 3)).argmax(1).equal(images.labels[chosen])


def test_a_model_gets_the_folder_and_the_class_order_is_said(folder: Path) -> None:
    model = with_image_folder(model_of(), folder)
    assert model.dataset is not None and model.dataset.classes == CLASSES
    assert model.note == "Classes in the sorted order of their folders: 0 is n01, 2 is n10."
    assert with_image_folder(model_of(), None).dataset is None


def test_grey_models_get_grey_images(folder: Path) -> None:
    images = load_images(image_folder(folder, usual((1, 16, 16), "test")), "test")
    assert isinstance(images, FolderImages) and images.inputs(0, 2).shape == (2, 1, 16, 16)


def test_what_is_wrong_with_a_folder_is_one_sentence(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"Expected folders of images in .*, one for each class: .*\.$"):
        image_folder(tmp_path, HOW)
    (tmp_path / "half" / "val").mkdir(parents=True)
    with pytest.raises(DataError, match=r"Expected a folder train in .*found none\.$"):
        image_folder(tmp_path / "half", HOW)
    with pytest.raises(
        DataError, match=r"Expected 5 class folders in .*, one for each output of mine; got 3\.$"
    ):
        with_image_folder(model_of(5), folder)
    odd = write_folder(tmp_path / "odd", train=1, val=1)
    (odd / "val" / "n02").rename(odd / "val" / "n03")
    with pytest.raises(DataError, match=r"the same classes in train/ and val/ .*'n02' is in one only\.$"):
        image_folder(odd, HOW)
    for path in (odd / "train" / "n01").iterdir():
        path.unlink()
    with pytest.raises(DataError, match=r"Expected folders of images in .*train, one for each class: .*n01"):
        image_folder(odd, HOW)
    dataset = image_folder(folder, HOW)
    with pytest.raises(DataError, match="are read as needed"):
        dataset.read(True, None)


def test_an_image_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    made = write_folder(tmp_path / "made", train=2, val=1, classes=("a",))
    (made / "val" / "a" / "0.png").write_bytes(b"not an image")
    images = load_images(image_folder(made, HOW), "test")
    with pytest.raises(
        DataError, match=r"Expected an image that can be read; .*0\.png cannot \(Unidentified"
    ):
        images.inputs()


@pytest.mark.parametrize("shape", [(1, 16, 16), SHAPE])
@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_grey_of_16_bits_is_scaled_to_8(form: str, shape: tuple[int, int, int], tmp_path: Path) -> None:
    made = write_folder(tmp_path / "made", train=2, val=1, classes=("a",))
    path = made / "val" / "a" / "0.png"
    dataset = image_folder(made, usual(shape, "a test"))
    path.write_bytes(grey(np.uint16, form))
    deep = load_images(dataset, "test").pixels(torch.tensor([0]))
    ramp = np.linspace(0, 255, 24 * 24).round().astype(np.uint8).reshape(24, 24)
    Image.fromarray(ramp).save(path, "PNG")
    assert deep.equal(load_images(dataset, "test").pixels(torch.tensor([0])))
    assert deep.min() < 64 and deep.max() > 192


def test_32_bits_are_refused_in_words(tmp_path: Path) -> None:
    made = write_folder(tmp_path / "made", train=2, val=1, classes=("a",))
    (made / "val" / "a" / "0.png").write_bytes(grey(np.float32))
    images = load_images(image_folder(made, HOW), "test")
    with pytest.raises(DataError, match=r"Expected 8 or 16 bits a channel; .*0\.png has 32\. Save it with 8"):
        images.inputs()


def test_pixels_are_what_networks_see_before_they_are_scaled(folder: Path) -> None:
    dataset = image_folder(folder, HOW)
    images, chosen = load_images(dataset, "test"), torch.tensor([5, 0, 17])
    pixels = images.pixels(chosen)
    assert pixels.dtype == torch.uint8 and pixels.shape == (3, *SHAPE)
    assert torch.equal(normalise(pixels, dataset), images.inputs()[chosen])
    assert images.pixels(chosen[:0]).shape == (0, *SHAPE)
