"""A traced network as the steps of a GPU program: what each becomes, and what is refused."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import stochastic_depth

pytest.importorskip("triton", reason="recipes hold Triton's kernels")

from bcbp.lowering import LoweringError, lower
from bcbp.tracing import trace
from kernels.gpu.map_layer import MapLayer
from kernels.gpu.pooling import Pool
from kernels.gpu.recipe import Flatten, Recipe, Step
from kernels.pack import unpack
from kernels.precision import FP32
from tests.bcbp.networks import Shape, build, column_plan

CPU = torch.device("cpu")


def recipe_of(module: nn.Module, shape: Shape, masks: dict | None = None) -> Recipe:
    return lower(trace(module.eval(), shape), masks or {}, precision=FP32, device=CPU)


def kinds(recipe: Recipe) -> list[str]:
    named = {MapLayer: "layer", Pool: "pool", Flatten: "flatten"}
    return [named.get(type(step.operation), step.name) for step in recipe.steps]


def layer_of(step: Step) -> MapLayer:
    assert isinstance(step.operation, MapLayer)
    return step.operation


def test_norms_sums_and_activations_go_into_the_layers() -> None:
    module, shape = build("sample")
    recipe = recipe_of(module, shape)
    layers = sum(isinstance(child, nn.Conv2d | nn.Linear) for child in module.modules())
    assert kinds(recipe) == ["layer"] * (layers - 1) + ["pool", "flatten", "layer"]
    residual = [step for step in recipe.steps if len(step.sources) == 2]
    assert residual and {layer_of(step).epilogue.activation for step in residual} == {"relu"}


def test_every_value_is_made_before_it_is_read() -> None:
    for name in ("sample", "resnet50", "mobilenet_v2", "densenet", "own"):
        module, shape = build(name)
        recipe = recipe_of(module, shape)
        made = {recipe.source}
        for step in recipe.steps:
            assert made.issuperset(step.sources), (name, step.name)
            made.add(step.result)
        assert recipe.result in made


def test_masks_reach_the_packed_weights() -> None:
    module, shape = build("sample")
    plan = column_plan(module)
    recipe = recipe_of(module, shape, {planned.name: planned.mask for planned in plan})
    packed = {
        step.name: layer_of(step).packed for step in recipe.steps if isinstance(step.operation, MapLayer)
    }
    for planned in plan:
        kept = unpack(packed[planned.name]) != 0
        assert torch.equal(kept, planned.mask.dense() & kept)
        assert packed[planned.name].kept == planned.mask.kept


class Shaped(nn.Module):
    """A 3 x 8 x 8 input through one function."""

    def __init__(self, function) -> None:
        super().__init__()
        self.function, self.scale = function, nn.Parameter(torch.ones(3, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self, x)


def shaped(function) -> Recipe:
    return recipe_of(Shaped(function), (3, 8, 8))


POOLS = {
    "max": (lambda _, x: F.max_pool2d(x, 3, 2, 1, ceil_mode=True), Pool((3, 3), (2, 2), (1, 1), ceil=True)),
    "avg": (
        lambda _, x: F.avg_pool2d(x, (2, 3), 2, count_include_pad=False),
        Pool((2, 3), (2, 2), mean=True, count_padding=False),
    ),
    "adaptive": (lambda _, x: F.adaptive_avg_pool2d(x, (2, 4)), Pool((4, 2), (4, 2), mean=True)),
    "mean": (lambda _, x: x.mean([2, 3]), Pool((8, 8), (8, 8), mean=True)),
    "mean, kept": (lambda _, x: torch.mean(x, dim=(-2, -1), keepdim=True), Pool((8, 8), (8, 8), mean=True)),
}


@pytest.mark.parametrize("name", POOLS)
def test_pooling_of_every_spelling_is_a_window(name: str) -> None:
    function, expected = POOLS[name]
    (step,) = shaped(function).steps
    assert step.operation == expected


@pytest.mark.parametrize(
    "function",
    [
        lambda _, x: F.adaptive_avg_pool2d(x, 3),
        lambda _, x: F.avg_pool2d(x, 2, divisor_override=3),
        lambda _, x: x.mean(1, keepdim=True),
        lambda self, x: torch.cat([x, x * self.scale], 1),
    ],
    ids=["uneven windows", "another divisor", "a mean over channels", "constants and several sources"],
)
def test_other_operations_are_pytorchs_own_and_compute_the_same(function) -> None:
    recipe, x = shaped(function), torch.randn(2, 3, 8, 8)
    values = {recipe.source: x}
    with torch.no_grad():
        for step in recipe.steps:
            assert callable(step.operation)
            values[step.result] = step.operation(*(values[source] for source in step.sources))
        assert torch.equal(values[recipe.result], Shaped(function)(x))


def test_what_does_nothing_is_no_step() -> None:
    function = lambda _, x: stochastic_depth(F.adaptive_avg_pool2d(F.dropout(x), 8), 0.2, "row", False)  # noqa: E731
    recipe = shaped(function)
    assert recipe.steps == () and recipe.result is recipe.source


@pytest.mark.parametrize(
    "flat", [torch.flatten, lambda x, _: x.view(x.size(0), -1), lambda x, first: x.flatten(first)]
)
def test_flattening_of_every_spelling(flat) -> None:
    assert kinds(shaped(lambda _, x: flat(x, 1))) == ["flatten"]
    assert kinds(recipe_of(nn.Sequential(nn.Flatten()), (3, 8, 8))) == ["flatten"]


REFUSED = {
    "reshape turns": lambda _, x: x.reshape(1, 6, 4, 8),
    "chunk, which is no map": lambda _, x: x.chunk(3, 1)[0] + 1,
    "gives .*, which is no map of every image": lambda _, x: x.sum(0),
    "one batch of images into one tensor": lambda _, x: (x, x),
}


@pytest.mark.parametrize("words", REFUSED)
def test_what_is_no_map_is_refused_with_the_node(words: str) -> None:
    with pytest.raises(LoweringError, match=words):
        shaped(REFUSED[words])


def test_a_second_input_is_refused() -> None:
    class Two(nn.Module):
        def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
            return x + 1

    with pytest.raises(LoweringError, match="second input, y"):
        lower(trace(Two(), (3, 4, 4)), {}, precision=FP32, device=CPU)
