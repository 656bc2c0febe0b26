"""A converted network computes what the masked one computes, and says how each of its layers runs."""

from __future__ import annotations

import copy
import dataclasses

import pytest
import torch
from torch import Tensor, nn

from bcbp import choice
from bcbp.choice import LayerRun
from bcbp.errors import ModelError, SpecError
from bcbp.intake.model import adopt, state_digest
from bcbp.intake.residual import ResidualNet
from bcbp.network import ENGINES, PackedLayer, apply_plan, convert
from bcbp.plan import PruningPlan
from bcbp.planning import make_plan
from bcbp.spec import PruneSpec
from bcbp.surgery import inner_layers
from kernels.engines import decline_reason
from kernels.pack import PackedWeight
from tests.bcbp.networks import (
    TORCHVISION,
    assert_same_function,
    build,
    column_plan,
    filter_plan,
)

OWN = ("sample", "own", "branching", "overwriting")


def example(shape: tuple[int, ...], images: int = 2) -> Tensor:
    return torch.randn(images, *shape, generator=torch.Generator().manual_seed(1))


def masked(module: nn.Module, plan: PruningPlan) -> nn.Module:
    """The meaning of a plan, written down a second time."""
    copied = copy.deepcopy(module)
    for planned in plan:
        weight = copied.get_submodule(planned.name).weight
        assert isinstance(weight, Tensor)
        weight.data *= planned.mask.dense().view_as(weight)
    return copied


@pytest.mark.parametrize("name", [*OWN, *TORCHVISION])
def test_a_dense_network_converts_to_the_same_function(name: str) -> None:
    module, shape = build(name)
    x = example(shape)
    assert_same_function(convert(module, None, input_shape=shape, engine="dense")(x), module, x)


@pytest.mark.parametrize("engine", ["reference", "cpu-tiles"])
@pytest.mark.parametrize("name", OWN)
def test_a_pruned_network_equals_the_masked_one(name: str, engine: str) -> None:
    module, shape = build(name)
    plan = column_plan(module, tile=8)
    network = convert(module, plan, input_shape=shape, engine=engine)
    x = example(shape, images=3)
    assert_same_function(network(x), masked(module, plan), x)


def test_other_layers_see_nothing_of_permuted_filters() -> None:
    """Residual sums and the layers behind read every channel where it always was."""
    module, shape = build("sample")
    model = adopt(module, name="sample", input_shape=shape)
    plan = make_plan(model, PruneSpec(tile=16, ratio=0.6, permute=True))
    assert any(layer.mask.permuted for layer in plan)
    network = convert(module, plan, input_shape=shape, engine="cpu-tiles")
    x = example(shape, images=2)
    assert_same_function(network(x), masked(module, plan), x)


@pytest.mark.parametrize("name", [*TORCHVISION])
def test_pruned_torchvision_networks_equal_the_masked_ones(name: str) -> None:
    module, shape = build(name)
    plan = column_plan(module, tile=32, balanced=False)
    network = convert(module, plan, input_shape=shape, engine="cpu-tiles")
    x = example(shape, images=1)
    assert_same_function(network(x), masked(module, plan), x)


@pytest.mark.parametrize("name", [*OWN, "mobilenet_v2"])
def test_every_layer_is_listed_once_with_a_reason(name: str) -> None:
    module, shape = build(name)
    expected = [n for n, child in module.named_modules() if isinstance(child, nn.Conv2d | nn.Linear)]
    layers = convert(module, column_plan(module), input_shape=shape, engine="cpu-tiles").layers
    assert [run.name for run in layers] == expected
    assert all(run.engine in ENGINES and run.reason for run in layers)


@pytest.mark.parametrize("name", ["sample", "own", "branching"])
def test_the_source_stays_as_it_was(name: str) -> None:
    module, shape = build(name)
    before, text = state_digest(module), repr(module)
    convert(module, column_plan(module), input_shape=shape, engine="cpu-tiles")
    inner_layers(module, shape)
    assert (state_digest(module), repr(module)) == (before, text)


def test_normalisation_sum_and_activation_go_into_the_layer() -> None:
    module, shape = build("sample")
    network = convert(module, None, input_shape=shape)
    left = [type(child) for child in network.modules() if not list(child.children())]
    assert nn.BatchNorm2d not in left and nn.ReLU not in left
    assert left.count(PackedLayer) == 6
    assert network.note == ""


def test_a_network_that_cannot_be_traced_runs_unfused_and_says_so() -> None:
    module, shape = build("branching")
    network = convert(module, column_plan(module), input_shape=shape, engine="cpu-tiles")
    assert "not a fixed graph" in network.note
    assert all("not fused" in run.reason for run in network.layers)


def test_layers_that_engines_cannot_describe_stay_pytorchs_own() -> None:
    module, shape = build("own")
    runs = {run.name: run for run in convert(module, None, input_shape=shape).layers}
    assert "padding" in runs["mirrored"].reason and "padding" in runs["same"].reason
    assert "does not call it once" in runs["right"].reason
    assert "does not call it once" in runs["unused"].reason
    assert "faster here" in runs["stem"].reason


def test_any_memory_format_and_batch_goes_in() -> None:
    module, shape = build("sample")
    network = convert(module, column_plan(module), input_shape=shape, engine="cpu-tiles")
    x = example((2 * shape[0], *shape[1:]), images=5)[:, ::2]
    assert torch.equal(network(x), network(x.contiguous(memory_format=torch.channels_last)))
    assert torch.allclose(network(x)[1:2], network(x[1:2]), rtol=1e-4, atol=1e-4)


def test_a_declining_engine_leaves_the_layer_dense(monkeypatch: pytest.MonkeyPatch) -> None:
    def decline(name: str, packed: PackedWeight, dtype: torch.dtype, activation: str) -> str | None:
        known = decline_reason(name, packed, dtype, activation)
        return "tiles of 7 only" if packed.geometry.kernel == (3, 3) else known

    monkeypatch.setattr(choice, "decline_reason", decline)
    module, shape = build("sample")
    plan = column_plan(module)
    network = convert(module, plan, input_shape=shape, engine="reference")
    engines = {run.name: run for run in network.layers}
    assert engines["conv1"] == LayerRun("conv1", "dense", "reference declined: tiles of 7 only")
    assert engines["stages.1.0.downsample.0"] == LayerRun("stages.1.0.downsample.0", "reference", "asked for")
    x = example(shape)
    assert_same_function(network(x), masked(module, plan), x)


def test_auto_measures_and_gives_the_times_as_its_reason() -> None:
    module, shape = build("sample")
    network = convert(module, column_plan(module, ratio=0.9), input_shape=shape, batch=2)
    for run in network.layers:
        assert "faster here" in run.reason and run.reason.startswith(run.engine)
        assert run.engine in ("dense", "cpu-tiles")


@pytest.mark.parametrize("name", OWN)
def test_auto_measures_whole_layers_too_and_computes_the_same(name: str) -> None:
    module, shape = build(name)
    network, x = convert(module, None, input_shape=shape, batch=2), example(shape)
    assert {run.engine for run in network.layers} <= {"dense", "cpu-tiles"}
    assert any("faster here" in run.reason for run in network.layers)
    assert_same_function(network(x), module, x)


def test_a_named_engine_leaves_layers_dense_that_keep_everything() -> None:
    module, shape = build("sample")
    network = convert(module, column_plan(module, ratio=0.0), input_shape=shape, engine="cpu-tiles")
    assert {(run.engine, run.reason) for run in network.layers} == {("dense", "it keeps every weight")}


def test_the_comparison_of_these_tests_can_fail() -> None:
    module, shape = build("sample")
    x = example(shape)
    other = convert(module, column_plan(module, ratio=0.02), input_shape=shape, engine="reference")
    with pytest.raises(AssertionError, match="rounding explains"):
        assert_same_function(other(x), module, x)


def test_a_value_overwritten_in_place_is_read_overwritten() -> None:
    """The graph keeps the meaning of in-place operations though it has none."""
    module, shape = build("overwriting")
    x = example(shape)
    network = convert(module, None, input_shape=shape)
    assert network.note == ""
    assert_same_function(network(x), module, x)


class Moody(nn.Module):
    """Computes something else each time: no conversion can be right."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(1, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x) * torch.rand(())


class Deceiving(nn.Module):
    """Takes another path while it is traced than when it runs."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(1, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x) * (2 if isinstance(x, torch.fx.Proxy) else 1)


def test_a_graph_that_computes_something_else_is_found_out() -> None:
    module, x = Deceiving(), example((1, 4, 4))
    network = convert(module, None, input_shape=(1, 4, 4))
    assert "something else" in network.note
    assert_same_function(network(x), module, x)


def test_a_random_network_is_refused() -> None:
    with pytest.raises(ModelError, match="random"):
        convert(Moody(), None, input_shape=(1, 4, 4))


def test_an_unknown_engine_is_refused_with_the_known_ones() -> None:
    module, shape = build("sample")
    with pytest.raises(SpecError, match=r"out of auto, .*; got 'warp'"):
        convert(module, None, input_shape=shape, engine="warp")


def test_a_plan_for_another_module_is_refused() -> None:
    module, shape = build("sample")
    other = ResidualNet(in_channels=1, widths=(64, 96), blocks=(1, 1), classes=10)
    with pytest.raises(SpecError, match="Plan again"):
        convert(module, column_plan(other), input_shape=shape)
    with pytest.raises(SpecError, match="no such layer"):
        convert(nn.Sequential(nn.Conv2d(1, 4, 1)), column_plan(module), input_shape=shape)
    model = adopt(module, name="sample", input_shape=shape)
    with pytest.raises(SpecError, match="Expected a plan for sample"):
        apply_plan(model, column_plan(module))


def test_apply_plan_zeroes_a_copy() -> None:
    module, shape = build("sample")
    model = adopt(module, name="sample", input_shape=shape)
    plan = dataclasses.replace(column_plan(module), model_digest=model.digest)
    pruned = apply_plan(model, plan)
    assert state_digest(model.module) == model.digest
    x = example(shape)
    assert torch.equal(pruned(x), masked(module, plan)(x))
    assert pruned.get_submodule("conv1").weight.count_nonzero() == plan["conv1"].mask.kept


def test_a_filter_plan_runs_on_the_tile_engine_too() -> None:
    module, shape = build("sample")
    plan = filter_plan(module, shape)
    model = adopt(module, name="sample", input_shape=shape)
    network = convert(module, plan, input_shape=shape, engine="cpu-tiles")
    x = example(shape)
    reference = apply_plan(model, dataclasses.replace(plan, model_digest=model.digest))
    assert_same_function(network(x), reference, x)


class Standardised(nn.Conv2d):
    """A layer class with a forward pass of its own: no engine computes it."""

    def forward(self, input: Tensor) -> Tensor:
        weight = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
        return self._conv_forward(input, weight, self.bias)


class Unbatched(nn.Module):
    """Calls its layers in ways that no engine takes: by keyword, and on a single image."""

    def __init__(self) -> None:
        super().__init__()
        self.keyword, self.single = nn.Conv2d(3, 8, 1), nn.Conv2d(8, 8, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.single(self.keyword(input=x)[0])


def test_calls_that_engines_do_not_take_stay_pytorchs_own() -> None:
    torch.manual_seed(0)
    module = Unbatched().eval()
    network = convert(module, None, input_shape=(3, 6, 6))
    assert all("on a batch" in run.reason for run in network.layers)
    x = example((3, 6, 6))
    assert_same_function(network(x), module, x)


class Choosy(nn.Sequential):
    """Runs its layers, but cannot be traced."""

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input if input.sum() < 1e9 else -input)


@pytest.mark.parametrize("container", [nn.Sequential, Choosy])
def test_layers_with_a_forward_pass_of_their_own_stay_as_they_are(container: type[nn.Sequential]) -> None:
    torch.manual_seed(0)
    module = container(Standardised(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 1)).eval()
    network = convert(module, None, input_shape=(3, 6, 6))
    assert "Standardised has a forward pass of its own" in network.layers[0].reason
    x = example((3, 6, 6))
    assert_same_function(network(x), module, x)


@pytest.mark.parametrize("container", [nn.Sequential, Choosy])
def test_parametrised_layers_convert_and_are_not_inner(container: type[nn.Sequential]) -> None:
    torch.manual_seed(0)
    first = nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 8, 3))
    module = container(first, nn.ReLU(), nn.Conv2d(8, 8, 1)).eval()
    x = example((3, 6, 6))
    assert_same_function(convert(module, None, input_shape=(3, 6, 6))(x), module, x)
    assert inner_layers(module, (3, 6, 6)) == {}
