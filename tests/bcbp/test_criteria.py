"""Criteria score what they say, the same every time."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from bcbp.criteria import CRITERIA, Criterion
from bcbp.errors import SpecError
from bcbp.geometry import TileShape

WEIGHT = torch.randn(70, 45, generator=torch.Generator().manual_seed(1))
BY_COLUMN = [criterion for criterion in CRITERIA.values() if not criterion.filters_only]


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(7)


@pytest.mark.parametrize("criterion", CRITERIA.values(), ids=CRITERIA)
def test_every_criterion_scores_filters(criterion: Criterion) -> None:
    scores = criterion.filters(WEIGHT, generator())
    assert scores.shape == (70,) and scores.dtype == torch.float32 and (scores >= 0).all()
    assert scores.equal(criterion.filters(WEIGHT, generator()))
    assert criterion.title and criterion.description.endswith("]")


@pytest.mark.parametrize("criterion", BY_COLUMN, ids=lambda criterion: criterion.name)
@pytest.mark.parametrize("rows", [1, 8, 32, 128])
def test_every_other_criterion_scores_the_columns_of_tiles(criterion: Criterion, rows: int) -> None:
    tile = TileShape(rows)
    scores = criterion.columns(WEIGHT, tile, generator())
    assert scores.shape == (tile.count(70), 45) and scores.dtype == torch.float32 and (scores >= 0).all()


@pytest.mark.parametrize(("name", "order"), [("l1", 1), ("l2", 2)])
@pytest.mark.parametrize("rows", [1, 16, 32, 128])
def test_a_norm_score_is_the_norm_over_the_rows_to_the_same_power(name: str, order: int, rows: int) -> None:
    scores = CRITERIA[name].columns(WEIGHT, TileShape(rows), generator())
    for panel, row in zip(WEIGHT.split(rows), scores, strict=True):
        expected = torch.linalg.vector_norm(panel, order, 0) / len(panel) ** (1 / order)
        torch.testing.assert_close(row, expected)
    filters = CRITERIA[name].filters(WEIGHT, generator())
    torch.testing.assert_close(filters, torch.linalg.vector_norm(WEIGHT, order, 1) / 45 ** (1 / order))


def test_fpgm_finds_the_filter_in_the_middle_most_replaceable() -> None:
    corners = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0], [0.0, 0.1]])
    scores = CRITERIA["fpgm"].filters(corners, generator())
    assert int(scores.argmin()) == 4
    distances = (corners[:, None] - corners[None]).norm(dim=2).sum(1)
    torch.testing.assert_close(scores, distances / (4 * 2**0.5))


def test_fpgm_has_no_column_scores_and_says_what_to_do() -> None:
    with pytest.raises(SpecError, match="Use it with the pattern filter"):
        CRITERIA["fpgm"].columns(WEIGHT, TileShape(8), generator())


def test_the_random_control_does_not_look_at_weights() -> None:
    def draw(weight: Tensor) -> Tensor:
        return CRITERIA["random"].columns(weight, TileShape(8), generator())

    assert draw(WEIGHT).equal(draw(WEIGHT * 100))
