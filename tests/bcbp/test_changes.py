"""Which answers changed, against a count by hand and against the paired test."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bcbp.changes import GAINED, KINDS, LOST, STILL_WRONG, Changes, changes_of
from bcbp.cli.changes_text import changes_text
from bcbp.errors import DataError
from bcbp.evaluation import mcnemar
from bcbp.predictions import Predictions

CLASSES = ("bag", "coat", "shirt", "unseen")
LABELS, BEFORE, AFTER = (
    torch.tensor(values)
    for values in ([0, 0, 1, 1, 2, 2, 2, 0], [0, 1, 1, 1, 1, 1, 2, 0], [1, 0, 1, 2, 0, 1, 1, 0])
)
MADE = Changes(CLASSES, LABELS, BEFORE, AFTER)
PREDICTIONS = Predictions(CLASSES, LABELS, {"dense": BEFORE, "bcbp 0.5": AFTER})


def row(gained: int, lost: int) -> dict:
    return {
        "method": "bcbp",
        "asked_ratio": 0.5,
        "accuracy": {"correct": 3, "total": 8},
        "accuracy_vs_dense": {"gained": gained, "lost": lost},
    }


def test_images_are_lost_gained_or_wrong_in_another_way():
    assert [MADE.chosen(kind).tolist() for kind in KINDS] == [[0, 3, 6], [1], [4]]
    assert MADE.chosen(LOST, 1).tolist() == [3] and MADE.chosen(GAINED, 2).tolist() == []


def test_classes_without_images_are_left_out_and_the_others_are_counted():
    found = {one.name: (one.images, one.lost, one.gained, one.still_wrong) for one in MADE.by_class()}
    assert found == {"bag": (3, 1, 1, 0), "coat": (2, 1, 0, 0), "shirt": (3, 1, 0, 1)}


def test_the_most_frequent_moves_come_first():
    labels = torch.tensor([0, 0, 0, 1])
    made = Changes(CLASSES, labels, labels, torch.tensor([1, 1, 2, 0]))
    first, *others = made.moves(2)
    assert (first.before, first.after, first.count, first.lost, first.gained) == ("bag", "coat", 2, 2, 0)
    assert len(others) == 1


@given(st.lists(st.tuples(*[st.integers(0, 3)] * 3), min_size=1, max_size=60))
def test_counts_agree_with_the_paired_test_and_add_up(triples):
    labels, before, after = (torch.tensor(values) for values in zip(*triples, strict=True))
    made = Changes(CLASSES, labels, before, after)
    paired = mcnemar(after == labels, before == labels)
    assert (made.count(GAINED), made.count(LOST)) == (paired.gained, paired.lost)
    changed = int((before != after).sum())
    assert sum(made.count(kind) for kind in KINDS) == changed == sum(one.count for one in made.moves(99))
    for kind, name in zip(KINDS, ("lost", "gained", "still_wrong"), strict=True):
        assert sum(getattr(one, name) for one in made.by_class()) == made.count(kind)


def test_answers_of_another_rung_than_the_report_knows_are_refused():
    assert changes_of(PREDICTIONS, row(1, 3)).count(STILL_WRONG) == 1
    with pytest.raises(DataError, match="not those of its accuracy"):
        changes_of(PREDICTIONS, row(2, 3))
    with pytest.raises(DataError, match="were not kept"):
        changes_of(PREDICTIONS, row(1, 3) | {"asked_ratio": 0.7})


def test_the_text_counts_every_tested_row():
    dense = {"method": "dense", "asked_ratio": 0.0, "accuracy": None}
    untested = row(0, 0) | {"asked_ratio": 0.7, "accuracy": None}
    text = changes_text({"rows": [dense, row(1, 3), untested]}, PREDICTIONS)
    assert "bcbp 0.5" in text and "coat > bag 2" in text and "bcbp 0.7" not in text
    assert "not those of its accuracy" in changes_text({"rows": [row(2, 3)]}, PREDICTIONS)
    assert changes_text({"rows": [dense]}, PREDICTIONS) == ""
