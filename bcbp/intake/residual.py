"""The residual CNN of He et al. (2016) for small images: a 3x3 stem and stages of basic blocks."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with batch norm, added to their input (projected where shapes differ)."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU(inplace=True)
        self.downsample: nn.Module | None = None
        if stride != 1 or in_channels != out_channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride, bias=False),
                nn.BatchNorm2d(out_channels),
            )

    def forward(self, x: Tensor) -> Tensor:
        identity = x if self.downsample is None else self.downsample(x)
        out = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(out)) + identity)


class ResidualNet(nn.Module):
    """Images [N, in_channels, H, W] to logits [N, classes].

    `widths` are the channels of the stages, `blocks` the basic blocks in each; every stage after the
    first halves the resolution. ResNet-20 for CIFAR-10 is widths (16, 32, 64), blocks (3, 3, 3).
    """

    def __init__(
        self, *, in_channels: int, widths: tuple[int, ...], blocks: tuple[int, ...], classes: int
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, widths[0], 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(widths[0])
        self.relu = nn.ReLU(inplace=True)
        stages: list[nn.Module] = []
        previous = widths[0]
        for index, (width, count) in enumerate(zip(widths, blocks, strict=True)):
            strides = [2 if index else 1] + [1] * (count - 1)
            chain = [
                BasicBlock(previous if first else width, width, stride)
                for first, stride in zip([True] + [False] * (count - 1), strides, strict=True)
            ]
            stages.append(nn.Sequential(*chain))
            previous = width
        self.stages = nn.Sequential(*stages)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(previous, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        x = self.stages(self.relu(self.bn1(self.conv1(x))))
        return self.fc(torch.flatten(self.avgpool(x), 1))


def sample_net() -> ResidualNet:
    """The bundled sample: 1.2 M parameters; its widths make tiles of 32 and 64 filters meaningful."""
    return ResidualNet(in_channels=1, widths=(64, 128, 256), blocks=(1, 1, 1), classes=10)


def cifar_resnet20() -> ResidualNet:
    """ResNet-20 for CIFAR-10 with projection shortcuts: 0.27 M parameters."""
    return ResidualNet(in_channels=3, widths=(16, 32, 64), blocks=(3, 3, 3), classes=10)
