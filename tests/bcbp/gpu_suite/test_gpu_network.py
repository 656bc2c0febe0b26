"""A network on the GPU computes what the masked one computes, and says how each of its layers runs."""

from __future__ import annotations

import gc
import weakref
from collections import Counter
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torchvision.models import resnet
from torchvision.models.densenet import DenseNet
from torchvision.models.squeezenet import Fire
from torchvision.models.vgg import VGG, make_layers

from bcbp import gpu_network
from bcbp.choice import DENSE
from bcbp.gpu_network import GpuNetwork, rounding
from bcbp.intake.residual import ResidualNet
from bcbp.masking import masked_copy
from bcbp.plan import PruningPlan
from kernels.gpu.engine import interpreted
from kernels.gpu.feature_map import CHWN, SHIFTED
from kernels.gpu.program import Program
from kernels.precision import BF16, FP16, FP32, PRECISIONS, TF32, Precision
from tests.bcbp.networks import BranchingNet, OwnNet, Shape, column_plan, randomise

DEVICE = torch.device("cpu" if interpreted() else "cuda")


class Separable(nn.Module):
    """Depth-wise and grouped convolutions, SiLU, a squeezed scale, and a mean over the plane at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.expand = nn.Conv2d(3, 16, 1)
        self.spatial = nn.Conv2d(16, 16, 3, 2, 1, groups=16, bias=False)
        self.norm = nn.BatchNorm2d(16)
        self.squeeze = nn.Conv2d(16, 4, 1)
        self.excite = nn.Conv2d(4, 16, 1)
        self.grouped = nn.Conv2d(16, 32, 3, padding=1, groups=2)
        self.head = nn.Linear(32, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.silu(self.norm(self.spatial(nn.functional.silu(self.expand(x)))))
        scale = torch.sigmoid(self.excite(nn.functional.gelu(self.squeeze(x.mean((2, 3), keepdim=True)))))
        return self.head(nn.functional.relu6(self.grouped(x * scale)).mean((2, 3)))


def squeezing() -> nn.Module:
    """Concatenations and a max-pool that rounds up."""
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2),
        nn.ReLU(),
        nn.MaxPool2d(3, 2, ceil_mode=True),
        Fire(8, 8, 8, 8),
        nn.Conv2d(16, 5, 1),
        nn.AdaptiveAvgPool2d((1, 1)),
        nn.Flatten(),
    )


def bottleneck() -> nn.Module:
    """ResNet's stem, a bottleneck with a strided projection, one without, and its classifier."""
    projection = nn.Sequential(nn.Conv2d(8, 16, 1, 2, bias=False), nn.BatchNorm2d(16))
    return nn.Sequential(
        nn.Conv2d(3, 8, 7, 2, 3, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, 2, 1),
        resnet.Bottleneck(8, 4, 2, projection),
        resnet.Bottleneck(16, 4),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(16, 5),
    )


NETWORKS: dict[str, tuple[Callable[[], nn.Module], Shape]] = {
    "residual": (lambda: ResidualNet(in_channels=3, widths=(8, 16), blocks=(1, 1), classes=7), (3, 6, 6)),
    "bottleneck": (bottleneck, (3, 16, 16)),
    "vgg": (lambda: VGG(make_layers([8, "M", 16, "M"], batch_norm=True), num_classes=5), (3, 28, 28)),
    "separable": (Separable, (3, 7, 7)),
    "squeezing": (squeezing, (3, 17, 17)),
    "densely connected": (lambda: DenseNet(4, (1, 1), 8, 2, num_classes=5), (3, 32, 32)),
    "own": (OwnNet, (3, 8, 8)),
}


def make(name: str) -> tuple[nn.Module, Shape]:
    build, shape = NETWORKS[name]
    torch.manual_seed(0)
    module = build().eval()
    if isinstance(module, VGG):  # 25,088 columns would take the interpreter a minute
        module.avgpool, module.classifier = nn.Identity(), nn.Linear(16 * 7 * 7, 5)
    return randomise(module), shape


def convert(module: nn.Module, plan: PruningPlan | None, precision: Precision = FP32) -> GpuNetwork:
    return GpuNetwork(module, plan, precision=precision, device=DEVICE)


def images(shape: Shape, count: int, seed: int = 1) -> Tensor:
    return torch.randn(count, *shape, generator=torch.Generator().manual_seed(seed)).to(DEVICE)


def assert_equals_masked(
    found: Tensor, module: nn.Module, plan: PruningPlan | None, x: Tensor, precision: Precision
) -> None:
    """Within what rounding explains over the depth of the network, in root mean square."""
    with torch.no_grad():
        expected = masked_copy(module, plan).double()(x.double().cpu())
    error = float((found.cpu().double() - expected).norm() / expected.norm())
    assert error <= rounding(module, precision), f"off by {error:.2g}"


@pytest.mark.parametrize("count", [1, 3, 8])
@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_equals_the_masked_one(name: str, count: int) -> None:
    module, shape = make(name)
    plan = column_plan(module, tile=8, balanced=False, permuted=count > 1)
    network, x = convert(module, plan), images(shape, count)
    found = network(x)
    assert network.note == "" and found.dtype == torch.float32
    assert_equals_masked(found, module, plan, x, FP32)


@pytest.mark.parametrize("precision", [FP16, BF16, TF32], ids=lambda one: one.name)
@pytest.mark.parametrize("name", ["residual", "separable"])
def test_every_precision_stays_within_its_rounding(name: str, precision: Precision) -> None:
    module, shape = make(name)
    plan, x = column_plan(module, tile=8), images(shape, 8)
    network = convert(module, plan, precision)
    assert_equals_masked(network(x), module, plan, x, precision)
    assert network.note == ""


def test_the_comparison_of_these_tests_can_fail() -> None:
    module, shape = make("residual")
    x = images(shape, 2)
    with pytest.raises(AssertionError, match="off by"):
        assert_equals_masked(convert(module, column_plan(module, tile=8))(x), module, None, x, BF16)


def test_few_images_run_in_shifted_copies_and_many_in_chwn() -> None:
    module, shape = make("residual")
    network = convert(module, None)
    layouts = []
    for count in (1, 8):
        program = network.program((count, *shape))
        assert isinstance(program, Program)
        layouts.append(program.layout)
    assert layouts == [SHIFTED, CHWN]


@pytest.mark.parametrize(
    ("name", "count", "expected"),
    [
        ("residual", 1, {"copies": 2, "pooling": 1, "program": 1}),
        ("bottleneck", 1, {"copies": 1, "pooling": 3, "program": 1}),
        ("vgg", 1, {"copies": 1, "pooling": 2, "program": 2}),
        ("bottleneck", 8, {"transpose": 1, "pooling": 2, "program": 1}),
    ],
)
def test_entry_pooling_and_further_copies_are_kernels_of_one_launch(
    name: str, count: int, expected: dict[str, int]
) -> None:
    """At one image every launch counts. PyTorch hands out the result, and flattens rows that are padded."""
    module, shape = make(name)
    program = convert(module, column_plan(module, tile=8)).program((count, *shape))
    assert isinstance(program, Program)
    of = Counter(step.__module__.rpartition(".")[2] for step in program._steps)
    assert {kind: of[kind] for kind in expected} == expected


def test_every_layer_is_listed_once_with_the_kernel_that_runs_it() -> None:
    module, shape = make("separable")
    network = convert(module, column_plan(module, tile=8))
    network(images(shape, 8))
    expected = [name for name, child in module.named_modules() if isinstance(child, nn.Conv2d | nn.Linear)]
    assert [run.name for run in network.layers] == expected
    runs = {run.name: run for run in network.layers}
    if interpreted():
        assert runs["spatial"].engine == "triton" and runs["spatial"].reason.startswith("depth-wise")
        assert runs["grouped"].engine == DENSE and runs["grouped"].reason.startswith("vendor")
        assert "width 32" in runs["expand"].reason
    assert network.by_torch == ("sigmoid", "mul")


def test_calls_do_not_leak_into_each_other() -> None:
    module, shape = make("bottleneck")
    network = convert(module, column_plan(module, tile=8))
    first, second = images(shape, 1), images(shape, 1, seed=2)
    expected = network(first)
    assert not torch.equal(network(second), expected)
    assert torch.equal(network(first), expected)
    network(first * 1e30)  # what overflows in one call is gone in the next
    assert torch.equal(network(first), expected)


def test_buffers_serve_several_values_and_their_halos_stay_zero() -> None:
    deep = ResidualNet(in_channels=3, widths=(8,), blocks=(4,), classes=5)
    network = convert(randomise(deep.eval()), None)
    program = network.program((8, 3, 6, 6))
    assert isinstance(program, Program)
    haloed = 8 * 8 * 8 * 8 * 4  # channels, rows, columns, images of the widest map, bytes
    assert program.buffer_bytes < 5 * haloed  # nine values of that size, three of them alive at once
    program(images((3, 6, 6), 8))
    for made in program.maps():
        inside = made.buffer.clone()
        top, left = made.halo
        inside[:, top : top + made.height, left : left + made.width] = 0
        assert not inside.any()


def test_a_network_that_cannot_be_lowered_runs_dense_with_the_reason() -> None:
    module = randomise(BranchingNet().eval())
    network, x = convert(module, column_plan(module, tile=8)), images((1, 8, 8), 2)
    found = network(x)
    assert_equals_masked(found, module, column_plan(module, tile=8), x, FP32)
    assert "not a fixed graph" in network.note and network.by_torch == ()
    assert {run.engine for run in network.layers} == {DENSE}
    assert all("not a fixed graph" in run.reason for run in network.layers)


def test_a_program_that_computes_something_else_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    module, shape = make("residual")
    monkeypatch.setattr(gpu_network, "network_tolerance", lambda *_: 0.0)
    network = convert(module, column_plan(module, tile=8))
    network(images(shape, 1))
    assert "its output is off by" in network.note
    assert {run.engine for run in network.layers} == {DENSE}


def test_a_program_that_cannot_be_built_leaves_the_network_dense(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_args: object, **_options: object) -> None:
        raise RuntimeError("CUDA error: operation not permitted when stream is capturing\nmore")

    module, shape = make("residual")
    monkeypatch.setattr(gpu_network, "Program", fail)
    network, x = convert(module, column_plan(module, tile=8)), images(shape, 1)
    assert_equals_masked(network(x), module, column_plan(module, tile=8), x, FP32)
    assert network.note == "CUDA error: operation not permitted when stream is capturing"


def test_a_program_that_is_dropped_gives_its_buffers_back() -> None:
    module, shape = make("residual")
    network = convert(module, None)
    program = network.program((1, *shape))
    assert isinstance(program, Program)
    dropped, buffers = weakref.ref(program), [weakref.ref(made.buffer) for made in program.maps()]
    gc.disable()
    try:
        del program
        network._programs.clear()
        assert dropped() is None and not any(buffer() is not None for buffer in buffers)
    finally:
        gc.enable()


def test_what_was_built_in_inference_mode_runs_outside_it() -> None:
    module, shape = make("residual")
    network, x = convert(module, None), images(shape, 1)
    with torch.inference_mode():
        expected = network(x)
    assert torch.equal(network(x), expected)


def test_every_shape_has_a_program_of_its_own_and_the_oldest_goes() -> None:
    module, _ = make("squeezing")
    network = convert(module, None)
    made = [network.program((1, 3, size, size)) for size in (17, 19, 21, 23)]
    assert network.program((1, 3, 17, 17)) is made[0]
    network.program((2, 3, 17, 17))
    assert network.program((1, 3, 23, 23)) is made[-1]
    assert network.program((1, 3, 17, 17)) is not made[0]


def test_another_shape_than_the_programs_own_is_refused() -> None:
    module, shape = make("residual")
    program = convert(module, None).program((1, *shape))
    with pytest.raises(ValueError, match=r"expected x of \(1, 3, 6, 6\), got \(2, 3, 6, 6\)"):
        program(images(shape, 2))


def test_the_source_stays_as_it_was() -> None:
    module, shape = make("residual")
    before = {name: value.clone() for name, value in module.state_dict().items()}
    convert(module, column_plan(module, tile=8), FP16)(images(shape, 1))
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert not any(parameter.is_cuda for parameter in module.parameters())


@pytest.mark.parametrize("name", PRECISIONS)
def test_float_images_of_any_type_go_in(name: str) -> None:
    module, shape = make("residual")
    network, x = convert(module, None), images(shape, 1)
    rounded = x.to(PRECISIONS[name].dtype)
    assert torch.equal(network(rounded), network(rounded.float()))
