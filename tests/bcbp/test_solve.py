"""The batched refit is the naive one, row by row, and the best there is."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from bcbp.calibration import DAMPING, Moments
from bcbp.geometry import TileShape
from bcbp.mask import Mask
from bcbp.recovery import solve
from bcbp.recovery.solve import factorisation_work, fit, naive_fit, nested_tiles

FILTERS, COLUMNS = 20, 12


def moments(groups: int = 1, *, changed: bool = True) -> Moments:
    generator = torch.Generator().manual_seed(groups)
    original = torch.randn(groups, COLUMNS, 100, generator=generator) + 0.5
    now = original + 0.3 * torch.randn(original.shape, generator=generator) if changed else original
    return Moments(now @ now.mT / 100, original @ now.mT / 100, now.mean(2), original.mean(2))


def weight() -> Tensor:
    return torch.randn(FILTERS, COLUMNS, generator=torch.Generator().manual_seed(9))


def mask(kind: str, tile: int = 8) -> Mask:
    generator = torch.Generator().manual_seed(3)
    shape = TileShape(1 if kind == "single weights" else tile)
    scores = torch.rand(shape.count(FILTERS), COLUMNS, generator=generator)
    keep = (
        scores > 0.5 if kind in ("unbalanced", "single weights") else scores >= scores.sort(1).values[:, 5:6]
    )
    rows = torch.ones(FILTERS, dtype=torch.bool)
    if kind == "blocks":
        rows[::3] = False
    if kind == "an empty tile":
        keep[1] = False
    order = torch.randperm(FILTERS, generator=generator) if "permuted" in kind else torch.arange(FILTERS)
    return Mask(keep, rows, shape, order)


KINDS = ("balanced", "unbalanced", "single weights", "blocks", "permuted", "an empty tile")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("groups", [1, 2, 5])
@pytest.mark.parametrize("chunk", [1, 1 << 28])
def test_a_fit_is_the_naive_one(kind: str, groups: int, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(solve, "_CHUNK_BYTES", chunk)
    chosen, given = mask(kind), moments(groups)
    found = fit(weight(), chosen, given)
    expected = naive_fit(weight(), chosen, given)
    # Both in float64; the result is rounded once to float32.
    torch.testing.assert_close(found.double(), expected, rtol=1e-6, atol=1e-6)
    assert not found[~chosen.dense()].any()


def test_with_unchanged_inputs_a_fit_is_the_closed_form_of_the_removed_columns() -> None:
    """W_S + W_P H_PS (H_SS + λ)⁻¹, and the energy it loses is tr(W_P ([H⁻¹]_PP)⁻¹ W_Pᵀ)."""
    chosen, given, old = mask("balanced", 32), moments(changed=False), weight().double()
    kept = chosen.keep[0]
    gram = given.gram[0].double()
    gram = gram + DAMPING * gram.diagonal().mean() * torch.eye(COLUMNS, dtype=torch.float64)
    expected = torch.zeros_like(old)
    update = old[:, ~kept] @ gram[~kept][:, kept] @ torch.linalg.inv(gram[kept][:, kept])
    expected[:, kept] = old[:, kept] + update
    found = fit(weight(), chosen, given).double()
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    change = old - expected
    lost = (change @ gram * change).sum()
    inner = torch.linalg.inv(torch.linalg.inv(gram)[~kept][:, ~kept])
    torch.testing.assert_close(lost, (old[:, ~kept] @ inner * old[:, ~kept]).sum())


@pytest.mark.parametrize("kind", KINDS[:5])
def test_no_other_weights_on_the_same_mask_come_nearer(kind: str) -> None:
    chosen, given, old = mask(kind), moments(), weight().double()
    strength = DAMPING * given.gram[0].double().diagonal().mean()

    def objective(candidate: Tensor) -> Tensor:
        """|W X - candidate X̂|² + λ |W - candidate|², up to a constant, over the kept weights."""
        gram, cross = given.gram[0].double(), given.cross[0].double()
        fidelity = (candidate @ gram * candidate).sum() - 2 * (old @ cross * candidate).sum()
        return fidelity + strength * (candidate - old)[chosen.dense()].square().sum()

    found = fit(weight(), chosen, given).double()
    least = objective(found)
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        step = 0.01 * torch.randn(found.shape, generator=generator, dtype=torch.float64) * chosen.dense()
        assert objective(found + step) > least


def test_tiles_that_straddle_groups_are_taken_row_by_row() -> None:
    assert nested_tiles(mask("balanced"), 1)[1] == 8
    assert nested_tiles(mask("balanced"), 2)[1] == 1
    assert nested_tiles(mask("balanced", 1), 5)[1] == 1


def test_permuted_tiles_stay_whole_unless_they_mix_groups() -> None:
    keep, rows = torch.ones(4, COLUMNS, dtype=torch.bool), torch.ones(FILTERS, dtype=torch.bool)
    within = Mask(keep, rows, TileShape(5), torch.arange(FILTERS).view(2, 10).flip(1).flatten())
    across = Mask(keep, rows, TileShape(5), torch.arange(FILTERS).flip(0))
    assert nested_tiles(within, 2)[1] == 5 and nested_tiles(across, 2)[1] == 1
    assert nested_tiles(across, 1)[1] == 5


def test_work_counts_a_factorisation_per_tile() -> None:
    chosen = mask("balanced")
    assert factorisation_work(chosen, 1) == pytest.approx(3 * 7**3 / 3)
    assert factorisation_work(chosen, 2) == pytest.approx(FILTERS * 7**3 / 3)
