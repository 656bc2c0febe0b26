"""The refit of one layer in closed form: a least-squares problem per tile, all over one Gram matrix."""

from __future__ import annotations

import torch
from torch import Tensor

from bcbp.calibration import Moments, damping
from bcbp.mask import Mask

# Of float64 matrices factorised at once.
_CHUNK_BYTES = 256 * 1024**2


def fit(weight: Tensor, mask: Mask, moments: Moments) -> Tensor:
    """Ŵ [M, K], zero where `mask` removes, such that Ŵ X̂ comes nearest to W X in the mean square.

    On the kept set S of a tile: `Ŵ_S = (W C + λ W)_S (G_SS + λ I)⁻¹`, with G = X̂ X̂ᵀ, C = X X̂ᵀ and λ the
    damping, which pulls towards the old weights. With C = G this is `W_S + W_P G_PS (G_SS + λ I)⁻¹`, P the
    removed set. Removed rows stay zero.
    """
    groups = len(moments.gram)
    keep, rows, order = nested_tiles(mask, groups)
    found = [
        _refit_group(weight, keep, rows, moments=(gram, cross, strength))
        for weight, keep, gram, cross, strength in zip(
            weight[order].double().chunk(groups),
            keep.chunk(groups),
            moments.gram.double(),
            moments.cross.double(),
            damping(moments.gram),
            strict=True,
        )
    ]
    return (torch.cat(found)[order.argsort()] * mask.rows[:, None]).to(weight.dtype)


def nested_tiles(mask: Mask, groups: int) -> tuple[Tensor, int, Tensor]:
    """`keep` [tiles, K], rows per tile and order [M], such that no tile straddles groups of a convolution."""
    own, height = torch.arange(len(mask.rows)), mask.tile.rows
    group = own // (len(own) // groups)
    whole = groups == 1 or (len(own) // groups) % height == 0
    if whole and torch.equal(group[mask.order], group):
        return mask.keep, height, mask.order
    return mask.keep[mask.tile_of], 1, own


def _refit_group(
    weight: Tensor, keep: Tensor, rows: int, *, moments: tuple[Tensor, Tensor, Tensor]
) -> Tensor:
    """One group: float64 `weight` [m, K], `keep` [tiles, K]; tiles that keep equally many go together."""
    gram, cross, strength = moments
    identity = strength * torch.eye(len(gram), dtype=torch.float64)
    gram, wanted = gram + identity, weight @ (cross + identity)
    padded = torch.zeros(len(keep), rows, len(gram), dtype=torch.float64)
    padded.flatten(0, 1)[: len(weight)] = wanted
    found = torch.zeros_like(padded)
    counts = keep.sum(1)
    for count in counts[counts > 0].unique().tolist():
        tiles = (counts == count).nonzero().flatten()
        for chunk in tiles.split(max(1, _CHUNK_BYTES // (8 * count**2))):
            kept = keep[chunk].nonzero()[:, 1].view(len(chunk), 1, count)
            factor = torch.linalg.cholesky(gram[kept.transpose(1, 2), kept])
            index = kept.expand(-1, rows, -1)
            solved = torch.cholesky_solve(padded[chunk].gather(2, index).transpose(1, 2), factor)
            found[chunk] = found[chunk].scatter(2, index, solved.transpose(1, 2))
    return found.flatten(0, 1)[: len(weight)]


def factorisation_work(mask: Mask, groups: int) -> float:
    """Multiply-adds of the factorisations that `fit` makes: k³ / 3 each, for every tile and group."""
    keep, _, _ = nested_tiles(mask, groups)
    return float((keep.sum(1).double() ** 3).sum() / 3)


def naive_fit(weight: Tensor, mask: Mask, moments: Moments) -> Tensor:
    """The slow twin of `fit`: row by row in float64, by the normal equations."""
    found = torch.zeros_like(weight, dtype=torch.float64)
    per_group = len(weight) // len(moments.gram)
    for row, kept in enumerate(mask.dense()):
        group = row // per_group
        identity = damping(moments.gram)[group] * torch.eye(len(kept), dtype=torch.float64)
        gram, cross = moments.gram[group].double() + identity, moments.cross[group].double() + identity
        wanted = weight[row].double() @ cross
        found[row, kept] = torch.linalg.solve(gram[kept][:, kept], wanted[kept])
    return found
