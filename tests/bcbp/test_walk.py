"""A walk gives every module the inputs of a full pass, with the weights as they are when it gets there."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from bcbp.intake.residual import ResidualNet
from bcbp.walk import RepeatedWalk, TracedWalk, called_once, waiting_bytes, walk
from kernels.measure import Stopped

WALKS = (TracedWalk, RepeatedWalk)


@pytest.fixture
def net() -> nn.Module:
    torch.manual_seed(0)
    return ResidualNet(in_channels=1, widths=(8, 16), blocks=(1, 1), classes=10).eval()


BATCHES = [torch.randn(size, 1, 8, 8, generator=torch.Generator().manual_seed(size)) for size in (3, 2)]


def seen(net: nn.Module, name: str) -> list[Tensor]:
    """What a full pass gives the module, batch by batch."""
    inputs: list[Tensor] = []
    hook = net.get_submodule(name).register_forward_pre_hook(lambda _, args: inputs.append(args[0].clone()))
    with torch.no_grad():
        for batch in BATCHES:
            net(batch)
    hook.remove()
    return inputs


@pytest.mark.parametrize("kind", WALKS)
def test_inputs_are_those_of_a_full_pass_after_every_change_so_far(
    kind: Callable[..., TracedWalk | RepeatedWalk], net: nn.Module
) -> None:
    names = [name for name, child in net.named_modules() if isinstance(child, nn.Conv2d | nn.BatchNorm2d)]
    walked = kind(net, BATCHES, lambda: False)
    for name in called_once(net, BATCHES[0], names):
        found = list(walked.inputs(name))
        for one, other in zip(found, seen(net, name), strict=True):
            torch.testing.assert_close(one, other)
        with torch.no_grad():
            net.get_submodule(name).weight.mul_(1.5)


@pytest.mark.parametrize("kind", WALKS)
def test_a_walk_stops_when_it_is_asked_to(
    kind: Callable[..., TracedWalk | RepeatedWalk], net: nn.Module
) -> None:
    with pytest.raises(Stopped):
        list(kind(net, BATCHES, lambda: True).inputs("fc"))


def test_spent_values_are_freed(net: nn.Module) -> None:
    walked = TracedWalk(net, BATCHES, lambda: False)
    list(walked.inputs("fc"))
    assert all(len(run.env) == 1 for run in walked._runs)


def test_a_network_that_cannot_be_traced_is_walked_by_repetition() -> None:
    class Branching(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Conv2d(1, 4, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.layer(x if x.sum() > 0 else -x)

    net = Branching().eval()
    walked = walk(net, BATCHES, lambda: False)
    assert isinstance(walked, RepeatedWalk)
    for one, other in zip(walked.inputs("layer"), seen(net, "layer"), strict=True):
        assert one.equal(other)


def test_a_module_that_is_never_reached_is_our_own_bug(net: nn.Module) -> None:
    net.unused = nn.Conv2d(1, 1, 1)
    with pytest.raises(AssertionError, match="unused is not called"):
        list(RepeatedWalk(net, BATCHES, lambda: False).inputs("unused"))


def test_modules_are_listed_in_the_order_of_execution_without_repeated_ones(net: nn.Module) -> None:
    first, relu, last = "conv1", "stages.0.0.relu", "fc"
    assert called_once(net, BATCHES[0], [last, relu, first]) == [first, last]


def test_what_waits_is_counted_per_image(net: nn.Module) -> None:
    # The two largest values are planes of 8 x 8 x 8 float32.
    assert waiting_bytes(net, BATCHES[0]) == waiting_bytes(net, BATCHES[1]) == 2 * 8 * 8 * 8 * 4
