"""What training does to images so that it never sees the same one twice."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def augment(images: Tensor, crop: int, generator: torch.Generator) -> Tensor:
    """Random shift by up to `crop` pixels and random mirror, per image; uint8 [N, C, H, W] both ways."""
    count, _, height, width = images.shape
    padded = F.pad(images, [crop] * 4)
    top = torch.randint(0, 2 * crop + 1, (count, 1), generator=generator)
    left = torch.randint(0, 2 * crop + 1, (count, 1), generator=generator)
    rows = top + torch.arange(height)
    columns = left + torch.arange(width)
    mirrored = torch.rand(count, generator=generator) < 0.5
    columns[mirrored] = columns[mirrored].flip(1)
    index = torch.arange(count)[:, None, None]
    return padded[index, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
