"""What a network expects of pictures: as whoever released weights of its architecture has written down."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from bcbp.data import DataSet
from bcbp.intake.entries import MODELS, TIMM, timm_library, torchvision_models
from bcbp.intake.model import LoadedModel
from bcbp.intake.released import cached_weights
from bcbp.intake.uploads import reference_of
from bcbp.preprocessing import Preprocessing, usual


def expected_preprocessing(model: LoadedModel) -> Preprocessing:
    """How pictures are prepared for `model`; nothing is fetched for it. Raises ModelError."""
    reference = reference_of(model.name)
    architecture = reference.architecture if reference else model.name
    found = _known(architecture, released=reference is None)
    if found is not None and found.shape == model.input_shape:
        return found
    return usual(model.input_shape, f"the usual choice, since nobody says what {model.name} expects")


def _known(architecture: str, *, released: bool) -> Preprocessing | None:
    if architecture in MODELS and (dataset := MODELS[architecture].dataset) is not None:
        return _of_dataset(dataset)
    if architecture.startswith(TIMM):
        return _of_timm(architecture.removeprefix(TIMM))
    models = torchvision_models()
    if architecture in models.list_models(module=models):
        return _of_torchvision(architecture, cached_weights(architecture) if released else None)
    return None


def _of_dataset(dataset: DataSet) -> Preprocessing:
    """Pictures in the size of a data set that ships, scaled as its own."""
    _, height, width = dataset.shape
    reason = f"as the images of {dataset.title} are"
    return Preprocessing(max(height, width), height, width, "bilinear", dataset.mean, dataset.std, reason)


def _of_torchvision(name: str, cached: Path | None) -> Preprocessing:
    """By the release whose file is `cached`, else by the one that torchvision takes for the best."""
    every = torchvision_models().get_model_weights(name)
    chosen = next((one for one in every if cached and one.url.endswith(f"/{cached.name}")), every.DEFAULT)
    wanted = chosen.transforms()
    (resize,), (side,) = wanted.resize_size, wanted.crop_size
    reason = f"as torchvision's {chosen.name} weights of {name} expect"
    return Preprocessing(
        resize, side, side, wanted.interpolation.value, tuple(wanted.mean), tuple(wanted.std), reason
    )


def _of_timm(name: str) -> Preprocessing | None:
    """By the weights that timm takes for the best; None where it has none. Raises ModelError without timm."""
    timm = timm_library()
    released = timm.get_pretrained_cfg(name)
    if released is None:
        return None
    config: dict[str, Any] = timm.data.resolve_data_config(pretrained_cfg=released.to_dict())
    _, height, width = config["input_size"]
    resize = math.floor(max(height, width) / config["crop_pct"])
    mode = "" if config["crop_mode"] == "center" else f", but for its crop mode {config['crop_mode']}"
    return Preprocessing(
        resize,
        height,
        width,
        config["interpolation"],
        tuple(config["mean"]),
        tuple(config["std"]),
        f"as timm's {name} expects{mode}",
    )
