"""A wrong order of classes is noticed; a right one, a poor network and too few images are not."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from bcbp.label_order import wrong_order


def answers(labels: torch.Tensor, right: float, classes: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    chance = torch.randint(0, classes, labels.shape, generator=generator)
    return torch.where(torch.rand(labels.shape, generator=generator) < right, labels, chance)


def names(classes: int) -> tuple[str, ...]:
    return tuple(f"class {number}" for number in range(classes))


@given(st.integers(2, 30), st.floats(0, 1), st.integers(0, 99))
def test_a_right_order_is_never_suspected_however_poor_the_network(
    classes: int, right: float, seed: int
) -> None:
    labels = torch.arange(classes).repeat(20)
    assert wrong_order(labels, answers(labels, right, classes, seed), names(classes)) is None


@given(st.integers(3, 30), st.floats(0.7, 1), st.integers(0, 99))
def test_a_turned_order_is_noticed_with_an_example(classes: int, right: float, seed: int) -> None:
    labels = torch.arange(classes).repeat(20)
    predicted = (answers(labels, right, classes, seed) + 1) % classes
    found = wrong_order(labels, predicted, names(classes))
    assert found is not None and "looks wrong" in found
    label, answer = (int(part.split()[0].rstrip(".")) for part in found.split("class ")[1:3])
    assert answer == (label + 1) % classes


@given(st.integers(2, 9), st.floats(0.95, 1), st.integers(0, 99))
def test_an_order_in_which_some_classes_keep_their_place_is_noticed_too(
    moved: int, right: float, seed: int
) -> None:
    labels = torch.arange(10).repeat(100)
    predicted = answers(labels, right, 10, seed)
    turned = torch.where(predicted < moved, (predicted + 1) % moved, predicted)
    found = wrong_order(labels, turned, names(10))
    assert found is not None and "looks wrong" in found
    assert wrong_order(labels, predicted, names(10)) is None


def test_a_class_that_is_always_taken_for_another_is_no_order() -> None:
    labels = torch.arange(10).repeat(20)
    predicted = labels.where(labels != 3, 5)
    assert wrong_order(labels, predicted, names(10)) is None


def test_few_images_say_nothing() -> None:
    labels = torch.arange(10).repeat(4)
    assert wrong_order(labels, (labels + 1) % 10, names(10)) is None
