"""Pictures as each network expects them: the same numbers as the library that its weights come from makes."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torchvision import models

from bcbp.data import CIFAR10, load_images
from bcbp.errors import DataError, SpecError
from bcbp.export_request import ExportRequest
from bcbp.image_folder import image_folder, with_image_folder
from bcbp.intake.expectation import expected_preprocessing
from bcbp.intake.model import LoadedModel, adopt
from bcbp.preprocessing import Adjustment, Preprocessing, usual
from bcbp.report import new_report
from bcbp.request import CompareRequest
from bcbp.sensitivity_request import SensitivityRequest
from tests.bcbp.intake.picture_zips import CLASSES, folders

needs_timm = pytest.mark.skipif(find_spec("timm") is None, reason="timm is an optional extra")


def named(name: str, shape: tuple[int, int, int] = (3, 224, 224)) -> LoadedModel:
    """Of a small network, under the name of an architecture: what is expected goes by that."""
    layers = nn.Sequential(
        nn.Conv2d(shape[0], 8, 3, stride=4), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3)
    )
    return adopt(layers, name=name, input_shape=shape)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Class folders of photographs, or what looks as uneven: upright, across, small and large."""
    made = tmp_path_factory.mktemp("photographs")
    generator = np.random.default_rng(0)
    for name in ("cat", "dog", "owl"):
        (made / name).mkdir()
        for index, size in enumerate([(300, 400), (517, 301), (64, 80), (260, 260)]):
            coarse = generator.integers(0, 256, (size[0] // 8, size[1] // 8, 3), dtype=np.uint8)
            Image.fromarray(coarse).resize(size[::-1]).save(made / name / f"{index}.png")
    return made


def prepared(folder: Path, how: Preprocessing) -> tuple[Tensor, list[Image.Image]]:
    """Inputs as they are made here, and the pictures that they are made of."""
    images = load_images(image_folder(folder, how), "test")
    paths = images.paths  # type: ignore[attr-defined]
    return images.inputs(), [Image.open(path).convert("RGB") for path in paths]


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "efficientnet_b1", "vit_b_16", "efficientnet_v2_l"])
def test_inputs_are_those_of_torchvisions_own_transforms(name: str, folder: Path) -> None:
    wanted = models.get_model_weights(name).DEFAULT.transforms()
    side = wanted.crop_size[0]
    how = expected_preprocessing(named(name, (3, side, side)))
    inputs, pictures = prepared(folder, how)
    assert torch.allclose(inputs, torch.stack([wanted(one) for one in pictures]), atol=1e-5)
    assert f"weights of {name} expect" in how.words


@needs_timm
@pytest.mark.parametrize("name", ["resnet18", "mobilenetv3_small_050", "resnet26"])
def test_inputs_are_those_of_timms_own_transforms(name: str, folder: Path) -> None:
    import timm

    config = timm.data.resolve_data_config(pretrained_cfg=timm.get_pretrained_cfg(name).to_dict())
    wanted = timm.data.create_transform(**config)
    how = expected_preprocessing(named(f"timm:{name}", config["input_size"]))
    inputs, pictures = prepared(folder, how)
    assert torch.allclose(inputs, torch.stack([wanted(one) for one in pictures]), atol=1e-5)
    assert how.reason == f"as timm's {name} expects" and how.interpolation == config["interpolation"]


def test_the_release_at_hand_decides_and_else_the_best(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert expected_preprocessing(named("resnet50")).resize == 232
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "resnet50-0676ba61.pth").touch()
    first = expected_preprocessing(named("resnet50"))
    assert first.resize == 256 and first.reason == "as torchvision's IMAGENET1K_V1 weights of resnet50 expect"
    own = expected_preprocessing(named("file:mine-0123456789ab@resnet50"))
    assert own.resize == 232  # whoever trained it has not taken the released file


def test_bundled_architectures_expect_what_they_were_trained_on() -> None:
    how = expected_preprocessing(named("file:mine-0123456789ab@cifar-resnet20", (3, 32, 32)))
    assert (how.resize, how.mean, how.std) == (32, (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616))
    assert how.reason == "as the images of CIFAR-10 are"
    assert expected_preprocessing(named("sample", (1, 28, 28))).mean == (0.2860,)


@pytest.mark.parametrize("name", ["mine", "resnet18"])
def test_a_network_that_nobody_describes_gets_the_usual_and_it_is_said(name: str) -> None:
    how = expected_preprocessing(named(name, (3, 64, 64)))
    assert (how.resize, how.shape, how.interpolation) == (73, (3, 64, 64), "bilinear")
    assert how.words.endswith(f"the usual choice, since nobody says what {name} expects")
    assert usual((1, 64, 64), "").mean == (pytest.approx(0.449),)


def test_what_is_asked_for_takes_the_place_of_what_is_expected(folder: Path) -> None:
    model = named("resnet18")
    asked = Adjustment(resize=224, mean=(0.5, 0.5, 0.5))
    plain, changed = (with_image_folder(model, folder, one).dataset for one in (Adjustment(), asked))
    assert plain is not None and changed is not None and changed.preprocessing is not None
    assert changed.preprocessing.words.startswith(
        "shorter side resized to 224, centre 224 × 224, bilinear, mean 0.5 0.5 0.5, deviation 0.229"
    )
    assert "; resize, mean as asked, else as torchvision's IMAGENET1K_V1" in changed.preprocessing.words
    assert not load_images(plain, "test").inputs(0, 1).equal(load_images(changed, "test").inputs(0, 1))


def test_runs_of_other_images_or_another_preprocessing_are_told_apart(folder: Path, tmp_path: Path) -> None:
    how = usual((3, 16, 16), "one reason")
    same, others = image_folder(folder, how), [image_folder(folder, replace(how, resize=20))]
    assert same.digest == image_folder(folder, replace(how, reason="another")).digest
    for name, content in folders().items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    others.append(image_folder(tmp_path, how))
    assert len({same.digest, *(one.digest for one in others)}) == 3
    models = [replace(named("mine", (3, 16, 16)), dataset=one) for one in (same, *others)]
    assert len({SensitivityRequest().key(model, images=9, calibration=9).id for model in models}) == 3
    told = new_report(CompareRequest(), models[1], {})["model"]
    assert told["images_digest"] == others[0].digest and told["preprocessing"]["resize"] == 20
    assert told["preprocessing"]["words"] == others[0].preprocessing.words  # type: ignore[union-attr]


def test_another_picture_of_the_same_name_and_size_makes_another_set_and_a_copy_does_not(
    folder: Path, tmp_path: Path
) -> None:
    how = usual((3, 16, 16), "one reason")
    before = image_folder(folder, how).digest
    copy = Path(shutil.copytree(folder, tmp_path / folder.name, copy_function=shutil.copyfile))
    assert image_folder(copy, how).digest == before
    for form in ("bmp", "png"):
        path = copy / "cat" / f"more.{form}"
        Image.new("RGB", (64, 64), (10, 0, 0)).save(path)
        first, size = image_folder(copy, how).digest, path.stat().st_size
        Image.new("RGB", (64, 64), (20, 0, 0)).save(path)
        assert path.stat().st_size == size and image_folder(copy, how).digest != first


@pytest.mark.parametrize("kind", [CompareRequest, ExportRequest, SensitivityRequest])
def test_requests_keep_what_is_asked_for(kind: type[CompareRequest]) -> None:
    asked = kind(data="images:mine-0123456789ab", adjustment=Adjustment(256, (0.5,), (0.25,)))
    assert kind.from_json(json.loads(json.dumps(asked.to_json()))) == asked
    assert kind.from_json(json.loads(json.dumps(kind().to_json()))) == kind()
    assert kind().to_json()["adjustment"] is None
    with pytest.raises(SpecError, match="Expected an adjustment of resize, mean or std"):
        kind.from_json({"adjustment": {"crop": 3}})


def test_what_cannot_be_scaled_by_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="Expected to resize to a whole number of pixels, at least 1; got 0"):
        Adjustment(resize=0)
    with pytest.raises(SpecError, match=r"Expected deviations above 0, of .*; got 0\.5, 0, 0\.5"):
        Adjustment(std=(0.5, 0, 0.5))
    with pytest.raises(SpecError, match="Expected a mean of numbers"):
        Adjustment(mean=(float("nan"),))
    with pytest.raises(SpecError, match=r"Expected to resize to at least 224 pixels, .*; got 100"):
        with_image_folder(named("resnet18"), folder, Adjustment(resize=100))
    with pytest.raises(
        SpecError, match="Expected a mean and a deviation for each of 3 channels; got 1 and 3"
    ):
        with_image_folder(named("resnet18"), folder, Adjustment(mean=(0.5,)))
    for place in (None, tmp_path):
        trained = replace(named("mine"), dataset=image_folder(folder, usual((3, 224, 224), "")))
        with pytest.raises(SpecError, match="Expected a folder or a zip of pictures with --resize"):
            with_image_folder(trained, place, Adjustment(resize=300))


def test_pictures_take_the_place_of_a_models_own_images_and_its_files_do_not(
    folder: Path, tmp_path: Path
) -> None:
    model = replace(named("mine"), dataset=image_folder(folder, usual((3, 224, 224), "")))
    (tmp_path / "cifar-10-batches-py").mkdir()
    assert with_image_folder(model, tmp_path) is model
    assert with_image_folder(model, folder).dataset is not model.dataset
    with pytest.raises(DataError, match=r"Expected a folder of images at .*nowhere; there is none\."):
        with_image_folder(model, tmp_path / "nowhere")


@pytest.mark.parametrize("place", ["n01/2021/0.png", "n01/a/b/0.JPG", "train/n01/0.png", "train/0.png"])
def test_pictures_are_noticed_wherever_they_lie_in_a_folder(folder: Path, tmp_path: Path, place: str) -> None:
    """Those that make no data set are refused, and none is taken for the files of the model's own."""
    model = replace(named("mine"), dataset=image_folder(folder, usual((3, 224, 224), "")))
    (tmp_path / place).parent.mkdir(parents=True)
    (tmp_path / place).touch()
    with pytest.raises(DataError, match="Expected"):
        with_image_folder(model, tmp_path)


def test_pictures_deep_in_a_linked_folder_are_used(tmp_path: Path) -> None:
    for name, content in folders(each=3).items():
        deep = tmp_path / "elsewhere" / name.replace("/", "/2021/")
        deep.parent.mkdir(parents=True, exist_ok=True)
        deep.write_bytes(content)
    (tmp_path / "set").mkdir()
    for place in (tmp_path / "elsewhere").iterdir():
        (tmp_path / "set" / place.name).symlink_to(place)
    used = with_image_folder(replace(named("mine"), dataset=CIFAR10), tmp_path / "set").dataset
    assert used is not None and used.classes == CLASSES and len(load_images(used, "validation")) == 1
