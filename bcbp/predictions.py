"""Which class every network of a comparison answered for every test image: a small file by the report."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bcbp.data import Images
from bcbp.errors import DataError
from bcbp.files import replace_file

_ROW = "row:"


@dataclass(frozen=True, eq=False)
class Predictions:
    """The right `labels` int64 [N] of the test images in their order, and the `answers` int64 [N] by row key.

    Numbers are those of `classes`.
    """

    classes: tuple[str, ...]
    labels: Tensor
    answers: Mapping[str, Tensor]

    def adding(self, key: str, answers: Tensor) -> Predictions:
        """With the answers of that row, which take the place of earlier ones."""
        return replace(self, answers={**self.answers, key: answers})


def write_predictions(path: Path, predictions: Predictions) -> None:
    """Replace `path` in one step: 10 classes and 10,000 images take about 4 KB a row."""
    arrays: dict[str, Any] = {"classes": np.array(predictions.classes), "labels": _packed(predictions.labels)}
    arrays |= {f"{_ROW}{key}": _packed(answers) for key, answers in predictions.answers.items()}
    packed = io.BytesIO()
    np.savez_compressed(packed, **arrays)
    replace_file(path, packed.getbuffer())


def _packed(numbers: Tensor) -> np.ndarray:
    """In the least bytes that hold the largest."""
    return numbers.numpy().astype(np.min_scalar_type(int(numbers.max()) if len(numbers) else 0))


def read_predictions(path: Path) -> Predictions:
    """What `write_predictions` wrote. Raises DataError where there is nothing, or nothing readable."""
    try:
        with np.load(path) as arrays:
            answers = {
                name.removeprefix(_ROW): _unpacked(arrays[name]) for name in arrays if name.startswith(_ROW)
            }
            return Predictions(tuple(arrays["classes"].tolist()), _unpacked(arrays["labels"]), answers)
    except FileNotFoundError:
        raise DataError(
            "This run kept no predictions: it is of an earlier version, or tested nothing. Run it again."
        ) from None
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise DataError(
            f"Expected the predictions of a run in {path.name}; it cannot be read ({type(error).__name__}). "
            "Run it again."
        ) from error


def same_images(predictions: Predictions, images: Images) -> Images:
    """Those of `images` that were tested. Raises DataError where they are others now."""
    tested = images.head(len(predictions.labels))
    if not torch.equal(tested.labels, predictions.labels):
        raise DataError(
            f"Expected the {len(predictions.labels):,} images that the run was tested on; those found have "
            "other labels. Put the images of the run back, or run it again."
        )
    return tested


def _unpacked(numbers: np.ndarray) -> Tensor:
    return torch.from_numpy(numbers.astype(np.int64))
