"""The checks of this folder can fail."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count

import pytest
import torch

from kernels.gpu.feature_map import CHWN, SHIFTED, FeatureMap
from kernels.precision import FP16
from tests.kernels.gpu.suite.layers import blank, inside, run


def good(y: FeatureMap, turn: Iterator[int]) -> None:
    inside(y).fill_(1.0)


def outside_too(y: FeatureMap, turn: Iterator[int]) -> None:
    y.buffer.fill_(1.0)


def other_each_time(y: FeatureMap, turn: Iterator[int]) -> None:
    inside(y).fill_(float(next(turn)))


@pytest.mark.parametrize("layout", [CHWN, SHIFTED])
@pytest.mark.parametrize(
    ("write", "complaint"),
    [(good, None), (outside_too, "the halo was written to"), (other_each_time, "a second run differs")],
)
def test_a_launch_that_breaks_a_rule_is_seen(
    write: Callable[[FeatureMap, Iterator[int]], None], complaint: str | None, layout: str
) -> None:
    y, turn = blank(2, (3, 4), 2, layout, FP16), count()
    if complaint is None:
        assert bool((run(lambda: write(y, turn), y) == 1).all())
    else:
        with pytest.raises(AssertionError, match=complaint):
            run(lambda: write(y, turn), y)


def test_what_is_never_written_is_nan() -> None:
    assert run(lambda: None, blank(2, (3, 4), 2, CHWN, FP16)).isnan().all()


def test_a_result_is_not_the_buffer_it_came_from() -> None:
    y = blank(1, (1, 1), 1, CHWN, FP16)
    assert torch.equal(run(lambda: good(y, count()), y), torch.ones(1, 1, 1, 1, dtype=torch.float16))
