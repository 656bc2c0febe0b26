"""What every network answered: kept whole, small, and refused where it cannot be read."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from bcbp.data import FASHION_MNIST
from bcbp.errors import DataError
from bcbp.predictions import Predictions, read_predictions, same_images, write_predictions
from tests.bcbp.small import small_images

LABELS = torch.arange(10_000) % 10
MADE = Predictions(
    tuple(map(str, range(10))), LABELS, {"dense": LABELS, "2:4 0.5": (LABELS + (LABELS == 3)) % 10}
)


def test_predictions_survive_the_file_and_are_small(tmp_path: Path):
    path = tmp_path / "predictions.npz"
    write_predictions(path, MADE)
    back = read_predictions(path)
    assert back.classes == MADE.classes and torch.equal(back.labels, LABELS)
    assert list(back.answers) == list(MADE.answers)
    assert all(torch.equal(back.answers[key], MADE.answers[key]) for key in MADE.answers)
    assert path.stat().st_size < 3 * len(LABELS) and [one.name for one in tmp_path.iterdir()] == [path.name]


def test_numbers_of_many_classes_and_no_images_at_all_fit(tmp_path: Path):
    for labels in (torch.tensor([0, 999, 70_000]), torch.tensor([], dtype=torch.int64)):
        write_predictions(tmp_path / "p.npz", Predictions(("a",), labels, {"dense": labels}))
        assert torch.equal(read_predictions(tmp_path / "p.npz").answers["dense"], labels)


def test_a_later_rung_takes_the_place_of_the_one_below():
    changed = MADE.adding("dense", LABELS + 1)
    assert torch.equal(changed.answers["dense"], LABELS + 1) and len(changed.answers) == 2
    assert torch.equal(MADE.answers["dense"], LABELS)


def test_a_file_that_is_missing_or_damaged_is_said(tmp_path: Path):
    path = tmp_path / "predictions.npz"
    with pytest.raises(DataError, match="kept no predictions"):
        read_predictions(path)
    write_predictions(path, MADE)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(DataError, match="cannot be read"):
        read_predictions(path)
    path.write_bytes(b"\x93NUMPY nothing")
    with pytest.raises(DataError, match="cannot be read"):
        read_predictions(path)


def test_only_the_images_that_were_tested_are_shown_beside_the_answers():
    images = small_images(FASHION_MNIST, "test")
    tested = Predictions((), images.labels[:50], {})
    assert len(same_images(tested, images)) == 50
    with pytest.raises(DataError, match="have other labels"):
        same_images(Predictions((), (images.labels[:50] + 1) % 10, {}), images)
    with pytest.raises(DataError, match="have other labels"):
        same_images(tested, images.head(49))
