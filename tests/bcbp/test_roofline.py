"""The least time of a network is that of its layers, each by the layer benchmark's own formula."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from bcbp.planning import make_plan
from bcbp.roofline import NetworkWork, network_limits
from bcbp.spec import DENSE, PruneSpec
from bcbp.surgery import shrink
from kernels.layers import named
from kernels.roofline import Ceiling
from tests.bcbp.networks import BranchingNet, OwnNet
from tests.bcbp.small import CEILING, small_model

MODEL = small_model()
PLANS = {name: make_plan(MODEL, PruneSpec(pattern=name, tile=16)) for name in ("filter", "block", "bcbp")}
COMPUTE_BOUND = replace(CEILING, bytes=1e30)
ADDING = {"stages.0.0.conv2", "stages.1.0.downsample.0"}
MEMORY_BOUND = replace(CEILING, flops=1e30)


def layer_by_layer(ceiling: Ceiling, batch: int, *, itemsize: int = 4, method: str = DENSE) -> float:
    """The sum over LayerShapes; one layer of each residual block takes in its sum."""
    total = 0.0
    for info in MODEL.layers:
        kept = 1 - PLANS[method][info.name].ratio if method != DENSE and info.name in ratios(method) else 1.0
        shape, residual = named(info.geometry, info.plane), info.name in ADDING
        moved = shape.moved(batch, kept, itemsize=itemsize, residual=residual)
        total += ceiling.seconds(flops=shape.flops(batch, kept), moved=moved)
    return total


def ratios(method: str) -> dict[str, float]:
    return {planned.name: planned.ratio for planned in PLANS[method]}


@pytest.mark.parametrize("ceiling", [CEILING, COMPUTE_BOUND, MEMORY_BOUND], ids=["both", "compute", "memory"])
@pytest.mark.parametrize("batch", [1, 8])
def test_it_is_the_sum_of_the_layers(ceiling: Ceiling, batch: int) -> None:
    found = network_limits(MODEL, PLANS, batch=batch, ceiling=ceiling)
    assert found.keys() == {DENSE, *PLANS}
    for method in (DENSE, "block", "bcbp"):
        assert found[method] == pytest.approx(layer_by_layer(ceiling, batch, method=method))


def test_a_shorter_type_moves_fewer_bytes() -> None:
    half = replace(MEMORY_BOUND, precision="fp16")
    found = network_limits(MODEL, {}, batch=8, ceiling=half)[DENSE]
    assert found == pytest.approx(layer_by_layer(half, 8, itemsize=2))


def test_filter_pruning_saves_maps_and_the_next_layers_work_too() -> None:
    """Its limit is that of the smaller network; masks alone leave every map as it is."""
    small = NetworkWork.of(shrink(MODEL.module, PLANS["filter"]), MODEL.input_shape)
    for ceiling in (COMPUTE_BOUND, MEMORY_BOUND):
        found = network_limits(MODEL, PLANS, batch=8, ceiling=ceiling)
        assert found["filter"] == small.seconds(ceiling, batch=8, density={})
    assert found["filter"] < 0.9 * found["bcbp"] < found[DENSE]


def test_work_that_is_removed_is_not_counted() -> None:
    found = network_limits(MODEL, PLANS, batch=1, ceiling=COMPUTE_BOUND)
    macs = sum(info.macs * (1 - ratios("bcbp").get(info.name, 0.0)) for info in MODEL.layers)
    assert found["bcbp"] == pytest.approx(2 * macs / COMPUTE_BOUND.flops)


def test_layers_that_engines_do_not_know_or_that_are_called_twice_are_counted() -> None:
    work = NetworkWork.of(OwnNet().eval(), (3, 8, 8))
    names = [call.name for call in work.calls]
    assert names.count("left") == 2 and names.count("mirrored") == 1 and "unused" not in names
    mirrored = next(call for call in work.calls if call.name == "mirrored")
    assert mirrored.macs == 8 * 9 * 32 * 3 * 3 and mirrored.weights == 8 * 32 * 9


def test_a_network_without_a_graph_has_a_limit_too() -> None:
    work = NetworkWork.of(BranchingNet().eval(), (1, 8, 8))
    assert [call.name for call in work.calls] == ["first", "second", "head"] and not work.adding
    assert work.seconds(CEILING, batch=2, density={}) > work.seconds(CEILING, batch=1, density={}) > 0


def test_a_layer_that_is_given_its_input_by_name_is_counted() -> None:
    class Naming(torch.nn.Conv2d):
        def __call__(self, x: torch.Tensor) -> torch.Tensor:
            return super().__call__(input=x)

    (call,) = NetworkWork.of(torch.nn.Sequential(Naming(2, 3, 1)), (2, 4, 5)).calls
    assert (call.macs, call.read, call.written, call.weights) == (120, 40, 60, 6)


def test_the_network_is_left_as_it_was() -> None:
    before = {name: value.clone() for name, value in MODEL.module.state_dict().items()}
    network_limits(MODEL, PLANS, batch=1, ceiling=CEILING)
    assert all(torch.equal(value, before[name]) for name, value in MODEL.module.state_dict().items())
    assert not any(module._forward_hooks for module in MODEL.module.modules())
