"""A physically smaller network computes what the masked one computes."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor, nn

from bcbp.errors import SpecError
from bcbp.intake.model import state_digest
from bcbp.mask import Mask
from bcbp.masking import masked_copy
from bcbp.network import convert
from bcbp.plan import LayerPlan, PruningPlan
from bcbp.surgery import inner_layers, shrink
from tests.bcbp.networks import TORCHVISION, assert_same_function, build, column_plan, filter_plan

NETWORKS = ("sample", "own", *TORCHVISION)


def example(shape: tuple[int, ...]) -> Tensor:
    return torch.randn(2, *shape, generator=torch.Generator().manual_seed(1))


def parameters(module: nn.Module) -> int:
    return sum(value.numel() for value in module.parameters())


@pytest.mark.parametrize("name", NETWORKS)
def test_a_shrunk_network_equals_the_masked_one(name: str) -> None:
    module, shape = build(name)
    plan = filter_plan(module, shape)
    x = example(shape)
    with torch.no_grad():
        found = shrink(module, plan)(x)
    assert_same_function(found, masked_copy(module, plan), x)


@pytest.mark.parametrize("name", NETWORKS)
def test_exactly_the_masked_weights_are_gone(name: str) -> None:
    module, shape = build(name)
    plan = filter_plan(module, shape)
    small = shrink(module, plan)
    for planned in plan:
        assert small.get_submodule(planned.name).weight.numel() == planned.mask.kept
    assert parameters(small) < parameters(module) and len(list(plan)) > 0


@pytest.mark.parametrize("name", ["sample", "mobilenet_v2"])
def test_a_shrunk_network_converts_like_any_other(name: str) -> None:
    module, shape = build(name)
    small = shrink(module, filter_plan(module, shape))
    network = convert(small, None, input_shape=shape)
    x = example(shape)
    assert network.note == ""
    assert_same_function(network(x), small, x)


def test_the_source_stays_as_it_was() -> None:
    module, shape = build("resnet18")
    before, text = state_digest(module), repr(module)
    shrink(module, filter_plan(module, shape))
    assert (state_digest(module), repr(module)) == (before, text)


def test_only_the_inner_convolutions_of_a_residual_block_are_inner() -> None:
    assert inner_layers(*build("sample")) == {
        "stages.0.0.conv1": ("stages.0.0.conv2",),
        "stages.1.0.conv1": ("stages.1.0.conv2",),
    }
    module, shape = build("resnet50")
    inner = inner_layers(module, shape)
    assert inner["layer1.1.conv1"] == ("layer1.1.conv2",)
    assert inner["layer1.1.conv2"] == ("layer1.1.conv3",)
    assert "layer1.1.conv3" not in inner and "layer1.0.downsample.0" not in inner and "fc" not in inner


def test_a_depthwise_convolution_is_on_the_way_and_not_an_end() -> None:
    inner = inner_layers(*build("mobilenet_v2"))
    assert inner["features.2.conv.0.0"] == ("features.2.conv.2",)
    assert "features.2.conv.1.0" not in inner


def test_channels_are_followed_through_a_flatten_into_a_linear_layer() -> None:
    module, shape = build("vgg")
    assert inner_layers(module, shape)["features.8"] == ("classifier.0",)
    small = shrink(module, filter_plan(module, shape))
    linear = small.get_submodule("classifier.0")
    assert isinstance(linear, nn.Linear) and linear.in_features == 32 * 49


def test_several_consumers_shrink_together() -> None:
    module, shape = build("resnet50")
    assert inner_layers(module, shape)["conv1"] == ("layer1.0.conv1", "layer1.0.downsample.0")


class Blocked(nn.Module):
    """Every way of using a layer's channels that forbids to remove some."""

    def __init__(self) -> None:
        super().__init__()
        self.summed, self.joined = nn.Conv2d(3, 6, 1), nn.Conv2d(6, 3, 1)
        self.shared, self.folded = nn.Conv2d(9, 9, 1), nn.Conv2d(9, 8, 1)
        self.read = nn.Conv2d(2, 4, 1)
        self.soft, self.returned = nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.cat([self.joined(self.summed(x) + 1), self.summed(x)], 1)
        x = self.folded(self.shared(self.shared(x)))
        x = self.read(x.reshape(-1, 2, *x.shape[2:]))
        return self.returned(torch.softmax(self.soft(x), 1))


def test_anything_unknown_on_the_way_keeps_a_layer_whole() -> None:
    assert inner_layers(Blocked(), (3, 4, 4)) == {}


def test_an_untraceable_network_has_no_inner_layers() -> None:
    assert inner_layers(*build("branching")) == {}


def test_a_network_that_does_not_take_the_shape_has_no_inner_layers() -> None:
    module, _ = build("sample")
    assert inner_layers(module, (2, 14, 14)) == {}


def test_a_removed_filter_falls_silent_in_the_masked_network() -> None:
    """Without it, the batch norm's shift would let a removed channel speak."""
    module, shape = build("sample")
    plan = filter_plan(module, shape)
    norm = masked_copy(module, plan).get_submodule("stages.0.0.bn1")
    removed = ~plan["stages.0.0.conv1"].mask.rows
    assert norm.weight[removed].eq(0).all() and norm.bias[removed].eq(0).all()
    assert norm.bias[~removed].ne(0).all()


def one_layer(plan: PruningPlan, name: str, rows: Tensor) -> PruningPlan:
    planned = plan[name]
    mask = Mask(torch.ones_like(planned.mask.keep), rows, planned.mask.tile)
    return dataclasses.replace(plan, layers=(LayerPlan(name, planned.shape, 0.5, mask),))


def test_consumers_outside_the_plan_shrink_all_the_same() -> None:
    module, shape = build("sample")
    full = filter_plan(module, shape)
    plan = one_layer(full, "stages.0.0.conv1", full["stages.0.0.conv1"].mask.rows)
    x = example(shape)
    with torch.no_grad():
        found = shrink(module, plan)(x)
    assert_same_function(found, masked_copy(module, plan), x)


def test_shrinking_refuses_what_it_cannot_do() -> None:
    module, shape = build("sample")
    with pytest.raises(SpecError, match="plan of filter pruning"):
        shrink(module, column_plan(module))
    plan = filter_plan(module, shape)
    with pytest.raises(SpecError, match="at least one filter"):
        shrink(module, one_layer(plan, "stages.0.0.conv1", torch.zeros(64, dtype=torch.bool)))
    outer = dataclasses.replace(column_plan(module), spec=plan.spec)
    with pytest.raises(SpecError, match="channels of conv1 are needed elsewhere"):
        shrink(module, one_layer(outer, "conv1", torch.arange(64) < 32))
