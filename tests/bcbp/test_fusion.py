"""What may be fused into a layer, and what only looks as if it could."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bcbp.network import convert


class AddsAMap(nn.Module):
    """Adds a parameter of the shape of one image: the same sum for every image of a batch."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1)
        self.map = nn.Parameter(torch.randn(1, 8, 6, 6))

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.conv(x) + self.map)


def test_a_parameter_of_the_shape_of_one_image_is_no_residual() -> None:
    module = AddsAMap().eval()
    network = convert(module, None, input_shape=(3, 6, 6), batch=1)
    x = torch.randn(3, 3, 6, 6)
    with torch.no_grad():
        torch.testing.assert_close(network(x), module(x), rtol=1e-4, atol=1e-4)
