"""What a study says: means over draws, and differences on the same images with intervals that cover."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bcbp.study import packed_hits
from bcbp.study_summary import Line, difference, lines_of, mean_accuracy

IMAGES = 200


def row(hits: torch.Tensor, method: str = "bcbp", seed: int = 0, *, kept: bool = True) -> dict[str, object]:
    return {
        "method": method,
        "tile": 32,
        "ratio": 0.5,
        "seed": seed,
        "rung": "refit",
        "kept": kept,
        "correct": int(hits.sum()),
        "total": len(hits),
        "hits": packed_hits(hits),
    }


def answers(share: float, seed: int) -> torch.Tensor:
    return torch.rand(IMAGES, generator=torch.Generator().manual_seed(seed)) < share


def test_a_line_finds_its_rows_of_the_kept_rung_or_of_the_one_named() -> None:
    rows = [row(answers(0.9, 0)), row(answers(0.8, 1), kept=False), row(answers(0.8, 1), "filter")]
    assert lines_of(rows) == [Line("bcbp", 32), Line("filter", 32)]
    assert Line("bcbp", 32).rows(rows, 0.5) == rows[:1]
    assert Line("bcbp", 32).rows(rows, 0.5, rung="refit") == rows[:2]
    assert Line("bcbp", 32).rows(rows, 0.7) == []


def test_the_mean_over_draws_lies_between_the_lowest_and_the_highest() -> None:
    rows = [row(answers(0.9, seed), seed=seed) for seed in range(3)]
    mean, (low, high) = mean_accuracy(rows)
    shares = [one["correct"] / IMAGES for one in rows]  # type: ignore[operator]
    assert (low, high) == (min(shares), max(shares)) and mean == pytest.approx(sum(shares) / 3)


@given(st.integers(0, 1000))
def test_a_difference_is_that_of_the_means_and_turns_its_sign(seed: int) -> None:
    rows, others = [row(answers(0.9, seed))], [row(answers(0.8, seed + 1)), row(answers(0.8, seed + 2))]
    mean, (low, high) = difference(rows, others)
    assert mean == pytest.approx(mean_accuracy(rows)[0] - mean_accuracy(others)[0])
    assert low < mean < high
    back, (back_low, back_high) = difference(others, rows)
    assert (back, back_low, back_high) == pytest.approx((-mean, -high, -low))


def test_intervals_of_differences_hold_the_truth_about_as_often_as_they_say() -> None:
    covered = 0
    for seed in range(400):
        low, high = difference([row(answers(0.9, 2 * seed))], [row(answers(0.8, 2 * seed + 1))])[1]
        covered += low <= 0.1 <= high
    assert 0.91 <= covered / 400 <= 0.99
