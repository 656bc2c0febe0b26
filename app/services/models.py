"""Models, once loaded: with the images that are named, and what follows from a model alone."""

from __future__ import annotations

import json
from pathlib import Path

import streamlit as st

from bcbp import costs
from bcbp.crossover import distinct_layers
from bcbp.data import Images, images_at_hand
from bcbp.errors import DataError
from bcbp.files import folder_stamp
from bcbp.image_folder import with_image_folder
from bcbp.intake.architectures import load_model
from bcbp.intake.expectation import expected_preprocessing
from bcbp.intake.model import LoadedModel
from bcbp.picture_store import place_of, stored_id
from bcbp.planning import default_exclude
from bcbp.preprocessing import Adjustment
from kernels.layers import LayerShape


@st.cache_resource(max_entries=3, show_spinner=False)
def model(name: str) -> LoadedModel:
    """The model of that name; the three used last stay in memory."""
    return load_model(name)


def with_images(name: str, data: str | None, adjusted: str = "null") -> LoadedModel:
    """A model with the images that are named, as those of a request. Raises DataError, SpecError."""
    return _with_images(name, data, adjusted, stamp(data))


def test_images(name: str, data: str | None, adjusted: str) -> Images:
    """The images that a model is tested on, where they are at hand. Raises DataError, ModelError."""
    return _test_images(name, data, adjusted, stamp(data))


def stamp(data: str | None) -> str:
    """Changes with the files of a folder; stored images never change. Part of a cache's key."""
    return folder_stamp(Path(data)) if data and stored_id(data) is None else ""


# In what follows `stamp` is read by the cache alone.
@st.cache_resource(max_entries=3, show_spinner=False)
def _with_images(name: str, data: str | None, adjusted: str, stamp: str) -> LoadedModel:
    return with_image_folder(model(name), place_of(data), Adjustment.from_json(json.loads(adjusted)))


@st.cache_resource(max_entries=2, show_spinner=False)
def _test_images(name: str, data: str | None, adjusted: str, stamp: str) -> Images:
    dataset = _with_images(name, data, adjusted, stamp).dataset
    if dataset is None:
        raise DataError(f"There are no images for {name}.")
    return images_at_hand(dataset, "test", place_of(data))


def preprocessing(name: str) -> str:
    """How pictures are prepared for a model, and why so."""
    return expected_preprocessing(model(name)).words


@st.cache_data(max_entries=16, show_spinner=False)
def left_dense(name: str) -> dict[str, str]:
    """Layers that stay dense unless they are given a ratio, with the reason."""
    return dict(default_exclude(model(name)))


@st.cache_data(max_entries=16, show_spinner=False)
def network_macs(name: str) -> int:
    """Multiply-adds of a network for one image, attention included."""
    return costs.network_macs(model(name))


@st.cache_data(max_entries=16, show_spinner=False)
def layer_shapes(name: str) -> dict[LayerShape, int]:
    """The distinct layers of a model, with how many there are of each."""
    return distinct_layers(model(name))


def forget() -> None:
    """Empty every cache that holds a model under its name alone."""
    for cached in (model, _with_images, _test_images):
        cached.clear()
