"""Intake: any module, and every layer of it is prunable or has a reason."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from bcbp.errors import ModelError
from bcbp.intake.model import adopt, state_digest


class Odd(nn.Module):
    """Layers that look prunable and are not, beside some that are."""

    def __init__(self) -> None:
        super().__init__()
        self.plain = nn.Conv2d(3, 8, 3, padding=1)
        self.depthwise = nn.Conv2d(8, 8, 3, groups=8)
        self.reflected = nn.Conv2d(8, 8, 3, padding=1, padding_mode="reflect")
        self.same = nn.Conv2d(8, 8, 3, padding="same")
        self.norm = nn.BatchNorm2d(8)
        self.first = nn.Linear(8, 8)
        self.twin = nn.Linear(8, 8)
        self.twin.weight = self.first.weight
        self.made = parametrizations.weight_norm(nn.Linear(8, 8))
        self.unused = nn.Linear(8, 8)
        self.volume = nn.Conv3d(1, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.same(self.reflected(self.depthwise(self.plain(x)))))
        x = self.volume(x[:, None])[:, 0].mean((2, 3))
        return self.made(self.twin(self.first(x)))


def test_every_layer_is_prunable_or_has_a_reason() -> None:
    model = adopt(Odd(), name="odd", input_shape=(3, 10, 10))
    assert [layer.name for layer in model.layers] == ["plain", "first"]
    expected = {
        "depthwise": "depth-wise convolution",
        "reflected": "padding 'reflect'",
        "same": "padding 'zeros'/'same'",
        "norm": "BatchNorm2d is not a convolution",
        "twin": "shares its weight with first",
        "made": "computed by a parametrization",
        "unused": "never called",
        "volume": "Conv3d is not a convolution or Linear layer",
    }
    reasons = dict(model.skipped)
    assert {name: reasons[name][: len(text)] for name, text in expected.items()} | {
        "made": expected["made"] if expected["made"] in reasons["made"] else "",
        "volume": reasons["volume"],
    } == expected
    weighted = {
        name for name, child in model.module.named_modules() if isinstance(child, nn.Conv2d | nn.Linear)
    }
    assert weighted <= {layer.name for layer in model.layers} | set(reasons)


def test_planes_are_those_of_the_input_and_positions_count_for_linear_layers() -> None:
    class Tokens(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.linear = nn.Conv2d(3, 8, 2, stride=2), nn.Linear(8, 4)

        def forward(self, x: Tensor) -> Tensor:
            return self.linear(self.conv(x).flatten(2).transpose(1, 2))

    model = adopt(Tokens(), name="tokens", input_shape=(3, 8, 6))
    assert model.layer("conv").plane == (8, 6)
    assert model.layer("linear").plane == (12, 1)
    assert model.layer("linear").macs == 12 * 8 * 4


def test_adopting_leaves_the_module_alone() -> None:
    module = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)).train()
    before = state_digest(module)
    model = adopt(module, name="trained", input_shape=(3, 8, 8))
    assert module.training and not model.module.training
    assert state_digest(module) == before == model.digest
    with torch.no_grad():
        module[0].weight.zero_()
    assert state_digest(model.module) == model.digest


def test_a_weight_is_the_gemm_matrix_of_its_layer() -> None:
    model = adopt(nn.Conv2d(3, 8, (3, 5)), name="one", input_shape=(3, 8, 8))
    layer = model.layers[0]
    assert model.weight(layer.name).shape == (layer.rows, layer.columns) == (8, 45)


def test_a_module_that_does_not_take_the_images_is_refused() -> None:
    with pytest.raises(ModelError, match="Expected wide to take images of 3 x 8 x 8; it fails: "):
        adopt(nn.Conv2d(4, 8, 3), name="wide", input_shape=(3, 8, 8))
    with pytest.raises(ModelError, match="nothing has none"):
        adopt(nn.ReLU(), name="nothing", input_shape=(3, 8, 8))
