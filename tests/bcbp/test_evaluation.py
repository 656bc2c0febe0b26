from __future__ import annotations

from math import comb

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from bcbp.data import FASHION_MNIST, ImageSet
from bcbp.evaluation import Exam, accuracy, mcnemar, sign_test, wilson_interval
from kernels.measure import BETTER, CANNOT_TELL, WORSE, Stopped


class BrightestQuarter(nn.Module):
    """Answers with the label that the images below carry in the brightness of their first pixel."""

    def forward(self, x: Tensor) -> Tensor:
        pixel = x[:, 0, 0, 0] * FASHION_MNIST.std[0] + FASHION_MNIST.mean[0]
        label = (pixel * 255 / 20).round().long()
        return nn.functional.one_hot(label, 10).float()


def images(labels: list[int], shown: list[int]) -> ImageSet:
    pixels = torch.zeros(len(shown), 1, 28, 28, dtype=torch.uint8)
    pixels[:, 0, 0, 0] = torch.tensor(shown, dtype=torch.uint8) * 20
    return ImageSet(FASHION_MNIST, "test", pixels, torch.tensor(labels))


def test_hits_are_counted_image_by_image_across_ragged_batches():
    quality = accuracy(BrightestQuarter(), images([0, 1, 2, 3, 4], [0, 1, 9, 3, 0]), batch=2)
    assert quality.hits.tolist() == [True, True, False, True, False]
    assert (quality.correct, quality.total, quality.share) == (3, 5, 0.6)


def test_a_limit_takes_the_first_images():
    quality = accuracy(BrightestQuarter(), images([0, 1, 2, 3], [0, 1, 9, 9]), limit=2)
    assert (quality.correct, quality.total) == (2, 2)
    assert accuracy(BrightestQuarter(), images([0], [0]), limit=50).total == 1


def test_each_network_is_tested_once():
    exam = Exam(images([0, 1, 2], [0, 9, 2]), 2)
    assert len(exam) == 2 and exam.sit("dense", BrightestQuarter()).correct == 1
    assert exam.sit("bcbp: refit", BrightestQuarter()).total == 2
    with pytest.raises(ValueError, match="tested once, dense has been tested already"):
        exam.sit("dense", BrightestQuarter())
    assert len(Exam(images([0], [0]), None)) == len(Exam(images([0], [0]), 5)) == 1


def test_progress_and_stop_are_asked_batch_by_batch():
    seen: list[float] = []
    with pytest.raises(Stopped):
        accuracy(
            BrightestQuarter(),
            images([0] * 8, [0] * 8),
            batch=2,
            progress=seen.append,
            should_stop=lambda: len(seen) == 2,
        )
    assert seen == [0.25, 0.5]


@given(st.integers(1, 10_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_wilson_interval_holds_the_share_and_stays_in_range(counts: tuple[int, int]):
    correct, total = counts
    low, high = wilson_interval(correct, total)
    assert 0 <= low <= correct / total + 1e-12 and correct / total - 1e-12 <= high <= 1
    assert high - low > 0


def test_the_wilson_interval_agrees_with_a_published_value():
    """81 of 263, a worked example of Newcombe (1998), table I."""
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)


@given(st.integers(0, 60), st.integers(0, 60))
def test_the_sign_test_is_the_binomial_tail_and_symmetric(a: int, b: int):
    n = a + b
    tail = sum(comb(n, i) for i in range(min(a, b) + 1))
    assert sign_test(a, b) == sign_test(b, a) == min(1.0, 2 * tail / 2**n)


def test_the_sign_test_holds_for_thousands_of_differences():
    assert 0 < sign_test(4000, 4400) < 1e-4
    assert sign_test(0, 0) == 1.0 and sign_test(5000, 5000) == 1.0


def pairs(both: int, gained: int, lost: int, neither: int) -> tuple[Tensor, Tensor]:
    ours = [True] * (both + gained) + [False] * (lost + neither)
    theirs = [True] * both + [False] * gained + [True] * lost + [False] * neither
    return torch.tensor(ours), torch.tensor(theirs)


@pytest.mark.parametrize(
    ("gained", "lost", "verdict"),
    [(3, 40, WORSE), (40, 3, BETTER), (20, 25, CANNOT_TELL), (0, 0, CANNOT_TELL), (0, 5, CANNOT_TELL)],
)
def test_only_images_on_which_two_models_differ_decide(gained: int, lost: int, verdict: str):
    found = mcnemar(*pairs(900, gained, lost, 50))
    assert (found.gained, found.lost, found.verdict) == (gained, lost, verdict)


def test_hits_of_other_images_are_refused():
    with pytest.raises(ValueError, match="same images"):
        mcnemar(torch.ones(3, dtype=torch.bool), torch.ones(4, dtype=torch.bool))
