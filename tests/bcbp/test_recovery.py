"""Recoveries work on copies, keep zeros zero, and never see the test images."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from bcbp.data import CIFAR10, ImageSet
from bcbp.errors import DataError
from bcbp.intake.model import state_digest
from bcbp.recovery import RECOVERIES, recover
from bcbp.spec import PruneSpec


def images(count: int = 300, part: str = "calibration") -> ImageSet:
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (count, 3, 32, 32), dtype=torch.uint8, generator=generator)
    return ImageSet(CIFAR10, part, pixels, torch.zeros(count, dtype=torch.int64))


def network() -> nn.Sequential:
    torch.manual_seed(1)
    return nn.Sequential(nn.Conv2d(3, 8, 3, stride=4), nn.BatchNorm2d(8), nn.ReLU()).eval()


@pytest.mark.parametrize("name", RECOVERIES)
def test_a_recovery_leaves_its_input_alone_and_zeros_zero(name: str) -> None:
    module = network()
    module[0].weight.data[:, 0] = 0
    before = state_digest(module)
    recovered = recover(module, images(), spec=PruneSpec(recovery=name))
    assert state_digest(module) == before
    assert not recovered.training and not any(child.training for child in recovered.modules())
    assert recovered.get_submodule("0").weight.equal(module[0].weight)


def test_batchnorm_statistics_become_those_of_the_images() -> None:
    module, calibration = network(), images(250)
    recovered = recover(module, calibration, spec=PruneSpec(recovery="batchnorm"))
    with torch.no_grad():
        outputs = module[0](calibration.inputs())
    norm = recovered.get_submodule("1")
    torch.testing.assert_close(norm.running_mean, outputs.mean((0, 2, 3)), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(norm.running_var, outputs.var((0, 2, 3)), atol=1e-5, rtol=1e-4)
    assert norm.momentum == 0.1


def test_a_network_without_batch_norm_comes_back_equal() -> None:
    module = nn.Conv2d(3, 4, 3).eval()
    assert state_digest(recover(module, images(10), spec=PruneSpec())) == state_digest(module)


def test_the_test_images_are_refused() -> None:
    with pytest.raises(DataError, match="got the test images"):
        recover(network(), images(part="test"), spec=PruneSpec(recovery="batchnorm"))
