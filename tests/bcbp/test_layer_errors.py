"""Errors of layers: none, all, and what layers before add."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from bcbp.layer_errors import layer_errors
from kernels.measure import Stopped

NAMES = ("0", "2")


@pytest.fixture
def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(inplace=True), nn.Linear(8, 4)).eval()


@pytest.fixture
def batches():
    return torch.randn(10, 6, generator=torch.Generator().manual_seed(1)).split(4)


def test_the_network_itself_has_no_error(network, batches):
    assert layer_errors(network, copy.deepcopy(network), batches, NAMES) == {"0": 0, "2": 0}


def test_an_error_is_the_share_of_the_norm_and_goes_on_into_later_layers(network, batches):
    pruned = copy.deepcopy(network)
    with torch.no_grad():
        pruned[0].weight[:4] = 0
    errors = layer_errors(network, pruned, batches, NAMES)
    with torch.no_grad():
        wanted, given = (torch.cat([layer(batch) for batch in batches]) for layer in (network[0], pruned[0]))
    assert errors["0"] == pytest.approx(float((given - wanted).norm() / wanted.norm()), rel=1e-5)
    assert errors["2"] > 0


def test_a_layer_that_gives_nothing_has_lost_all(network, batches):
    pruned = copy.deepcopy(network)
    for parameter in pruned.parameters():
        nn.init.zeros_(parameter)
    assert layer_errors(network, pruned, batches, NAMES) == pytest.approx({"0": 1.0, "2": 1.0})


def test_it_stops_and_leaves_no_hook(network, batches):
    with pytest.raises(Stopped):
        layer_errors(network, network, batches, NAMES, should_stop=lambda: True)
    layer_errors(network, network, batches, NAMES)
    assert not any(child._forward_hooks for child in network.modules())
