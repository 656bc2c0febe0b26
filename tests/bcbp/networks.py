"""Small networks and random plans for the tests of conversion and surgery."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models import MobileNetV2, resnet, vgg
from torchvision.models.densenet import DenseNet

from bcbp.geometry import TileShape
from bcbp.intake.residual import ResidualNet
from bcbp.mask import Mask
from bcbp.plan import LayerPlan, PruningPlan
from bcbp.spec import PruneSpec
from bcbp.surgery import inner_layers

Shape = tuple[int, int, int]


class OwnNet(nn.Module):
    """What people write: sums of every spelling, functional and in-place activations, `view`, two heads."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, padding=1)
        self.norm = nn.BatchNorm2d(16)
        self.left = nn.Conv2d(16, 16, 3, padding=1, bias=False)
        self.right = nn.Conv2d(16, 16, 1)
        self.grouped = nn.Conv2d(16, 32, 3, stride=2, groups=4)
        self.mirrored = nn.Conv2d(32, 8, 3, padding=1, padding_mode="reflect")
        self.same = nn.Conv2d(8, 8, 3, padding="same", dilation=2)
        self.hidden = nn.Linear(8 * 3 * 3, 24)
        self.flat_norm = nn.BatchNorm1d(24)
        self.head = nn.Linear(24, 5)
        self.unused = nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu_(self.norm(self.stem(x)))
        x += self.left(x)
        y = torch.add(self.right(x), x)
        y = y + self.right(y).mul_(2)
        scale = torch.sigmoid(self.left(y).mean((2, 3), keepdim=True))
        y = F.relu6(self.grouped(y + scale), inplace=True)
        y = self.same(self.mirrored(y).relu())
        y = F.dropout(y, training=self.training).view(y.size(0), -1)
        return self.head(torch.relu(self.flat_norm(self.hidden(y))))


class BranchingNet(nn.Module):
    """Looks at values: cannot be written down as a graph. Its `view` needs plain NCHW planes."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.second = nn.Conv2d(8, 16, 3, padding=1)
        self.head = nn.Linear(16 * 8 * 8, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.first(x))
        if x.abs().max() > 1e9:
            return x
        return self.head(torch.relu(self.second(x)).view(len(x), -1))


class OverwritingNet(nn.Module):
    """An in-place activation changes a value that is read again behind it."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.second = nn.Conv2d(8, 8, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        y = self.first(x)
        z = self.second(y)
        self.relu(y)
        return z + y


def randomise(module: nn.Module, seed: int = 0) -> nn.Module:
    """Batch norms with statistics and weights as after training, so that folding them matters; eval mode."""
    generator = torch.Generator().manual_seed(seed)
    for child in module.modules():
        if isinstance(child, nn.BatchNorm1d | nn.BatchNorm2d):
            child.weight.data.uniform_(0.5, 1.5, generator=generator)
            child.bias.data.normal_(0, 0.5, generator=generator)
            child.running_mean.normal_(0, 0.2, generator=generator)  # type: ignore[union-attr]
            child.running_var.uniform_(0.5, 1.5, generator=generator)  # type: ignore[union-attr]
    return module.eval()


def _vgg() -> nn.Module:
    net = vgg.VGG(vgg.make_layers([16, "M", 32, "M", 64], batch_norm=True), init_weights=False, num_classes=1)
    net.classifier = nn.Sequential(
        nn.Linear(64 * 49, 48),
        nn.ReLU(True),
        nn.Dropout(),
        nn.Linear(48, 40),
        nn.ReLU(True),
        nn.Linear(40, 10),
    )
    return net


# torchvision's own classes, as deep as the families that ship, and fewer of each block.
TORCHVISION: dict[str, Callable[[], nn.Module]] = {
    "resnet18": lambda: resnet.ResNet(resnet.BasicBlock, [1, 2, 1, 1], num_classes=10),
    "resnet50": lambda: resnet.ResNet(resnet.Bottleneck, [2, 1, 1, 1], num_classes=10),
    "wide_resnet50_2": lambda: resnet.ResNet(
        resnet.Bottleneck, [1, 1, 1, 1], num_classes=10, width_per_group=128
    ),
    "vgg": _vgg,
    "mobilenet_v2": lambda: MobileNetV2(
        num_classes=10, inverted_residual_setting=[[1, 16, 1, 1], [6, 24, 2, 2], [6, 32, 2, 2]]
    ),
    "densenet": lambda: DenseNet(growth_rate=8, block_config=(2, 2), num_init_features=16, num_classes=10),
}


def build(name: str) -> tuple[nn.Module, Shape]:
    """A network by name with random weights of seed 0, in eval mode, and a small input shape for it."""
    torch.manual_seed(0)
    own = {"own": OwnNet, "branching": BranchingNet, "overwriting": OverwritingNet}
    if name == "sample":
        net = ResidualNet(in_channels=1, widths=(64, 128), blocks=(1, 1), classes=10)
        return randomise(net), (1, 14, 14)
    if name in own:
        return randomise(own[name]()), (1 if name == "branching" else 3, 8, 8)
    return randomise(TORCHVISION[name]()), (3, 32, 32)


def column_plan(
    module: nn.Module,
    *,
    ratio: float = 0.5,
    tile: int = 32,
    balanced: bool = True,
    permuted: bool = False,
) -> PruningPlan:
    """Random columns out of every tile of every Conv2d and Linear layer."""
    generator = torch.Generator().manual_seed(0)
    layers = []
    for name, child in module.named_modules():
        if isinstance(child, nn.Conv2d | nn.Linear):
            rows, columns = len(child.weight), child.weight[0].numel()
            order = torch.rand(TileShape(tile).count(rows), columns, generator=generator)
            keep = order > ratio
            if balanced:
                keep = order.argsort(1) >= int(ratio * columns)
            filters = torch.randperm(rows, generator=generator) if permuted else torch.arange(rows)
            mask = Mask.of_columns(keep, filters, TileShape(tile))
            layers.append(LayerPlan(name, mask.shape, ratio, mask))
    return PruningPlan(PruneSpec(ratio=ratio, tile=tile), "", tuple(layers))


def filter_plan(module: nn.Module, input_shape: Shape, *, ratio: float = 0.5) -> PruningPlan:
    """Random filters out of every inner layer, and the columns of their consumers that read them."""
    generator = torch.Generator().manual_seed(0)
    rows: dict[str, Tensor] = {}
    columns: dict[str, Tensor] = {}
    for name, consumers in inner_layers(module, input_shape).items():
        filters = len(_weight(module, name))
        rows[name] = torch.rand(filters, generator=generator).argsort() >= int(ratio * filters)
        for consumer in consumers:
            taps = _weight(module, consumer)[0].numel() // filters
            columns[consumer] = rows[name].repeat_interleave(taps)
    layers = []
    for name in dict.fromkeys((*rows, *columns)):
        shape = (len(_weight(module, name)), _weight(module, name)[0].numel())
        keep = columns.get(name, torch.ones(shape[1], dtype=torch.bool))
        kept_rows = rows.get(name, torch.ones(shape[0], dtype=torch.bool))
        layers.append(LayerPlan(name, shape, ratio, Mask(keep[None], kept_rows, TileShape(shape[0]))))
    return PruningPlan(PruneSpec(pattern="filter", ratio=ratio), "", tuple(layers))


def _weight(module: nn.Module, name: str) -> Tensor:
    weight = module.get_submodule(name).weight
    assert isinstance(weight, Tensor)
    return weight


def assert_same_function(found: Tensor, module: nn.Module, x: Tensor) -> None:
    """`found` is what `module` gives for `x`, up to the rounding of float32.

    The size of that rounding is not guessed: it is how far the module itself is from its float64 twin.
    Another order of the same sums, with batch norm folded in, rounds about as often; 8 times as much is
    allowed because it is the largest of a few outputs, and always 2^-20 (8 roundings) of the largest output.
    """
    with torch.no_grad():
        exact = copy.deepcopy(module).double()(x.double())
        own = (module(x) - exact).abs().max()
    allowed = 8 * own + exact.abs().max() * 2**-20
    assert found.shape == exact.shape
    assert torch.isfinite(exact).all() and exact.abs().max() > 0
    error = float((found - exact).abs().max())
    assert error <= allowed, f"off by {error:.3g}, rounding explains {float(allowed):.3g}"
