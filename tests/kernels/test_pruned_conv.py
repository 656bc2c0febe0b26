"""A pruned layer as a module: the reference's results in eager, compiled and exported, built only once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from kernels import pruned_conv as subject
from kernels.engines import ACTIVATIONS, Epilogue
from kernels.flat import FlatWeight
from kernels.layout import ConvGeometry
from kernels.pack import PackedWeight, pack, unpack
from kernels.pruned_conv import PrunedConv, PrunedLinear
from kernels.testing import assert_close

ROOT = Path(__file__).resolve().parents[2]
GEOMETRY = ConvGeometry(8, 24, (3, 3), padding=(1, 1))


def packed_of(geometry: ConvGeometry = GEOMETRY, tile: int = 16, *, seed: int = 0) -> PackedWeight:
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(geometry.rows, geometry.columns, generator=generator)
    keep = torch.rand(-(-geometry.rows // tile), geometry.columns, generator=generator) < 0.5
    return pack(weight, keep, torch.ones(geometry.rows, dtype=torch.bool), tile, geometry)


def layer_of(activation: str = "relu") -> PrunedConv:
    bias = torch.randn(GEOMETRY.rows, generator=torch.Generator().manual_seed(1))
    return PrunedConv.of(packed_of(), Epilogue(bias, activation))


def inputs() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(2)
    return torch.randn(2, 8, 6, 6, generator=generator), torch.randn(2, 24, 6, 6, generator=generator)


def check(layer: PrunedConv, y: Tensor, x: Tensor, residual: Tensor | None = None) -> None:
    epilogue = Epilogue(layer.bias, layer.activation)
    assert_close(y, packed=layer.packed, x=x, epilogue=epilogue, residual=residual)


class Block(nn.Module):
    """Twice the layer, once with a residual."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = layer_of()

    def forward(self, x: Tensor, residual: Tensor) -> Tensor:
        return self.layer(x) + self.layer(x, residual)


@given(st.integers(0, 50), st.sampled_from([8, 16, 32]))
def test_a_flat_weight_is_the_packed_one(seed: int, tile: int) -> None:
    packed = packed_of(tile=tile, seed=seed)
    again = FlatWeight.of(packed).packed(GEOMETRY, tile)
    assert unpack(again).equal(unpack(packed)) and again.kept == packed.kept


def test_parts_that_do_not_fit_each_other_are_refused() -> None:
    flat = FlatWeight.of(packed_of())
    with pytest.raises(ValueError, match="values by the counts"):
        FlatWeight(flat.values[:-1], flat.columns, flat.rows, flat.counts).packed(GEOMETRY, 16)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_module_gives_what_the_reference_gives(activation: str) -> None:
    layer = layer_of(activation)
    x, residual = inputs()
    check(layer, layer(x), x)
    check(layer, layer(x, residual), x, residual)


def test_a_linear_layer_takes_any_leading_shape() -> None:
    geometry = ConvGeometry(40, 24)
    layer = PrunedLinear.of(packed_of(geometry), Epilogue())
    x = torch.randn(2, 3, 40, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(layer(x), x @ unpack(layer.packed).T)


def test_its_own_words_and_its_state_make_it_again() -> None:
    layer = layer_of()
    again = eval(repr(layer), {"PrunedConv": PrunedConv})
    again.load_state_dict(layer.state_dict())
    assert again(*inputs()).equal(layer(*inputs()))


def test_the_operator_keeps_the_rules_of_torch_library() -> None:
    layer, (x, residual) = layer_of(), inputs()
    parts = (layer.values, layer.columns, layer.rows, layer.counts)
    for bias, added in ((layer.bias, residual), (None, None)):
        torch.library.opcheck(
            subject.pruned_conv,
            (x, *parts, bias, added, layer.geometry, layer.tile, layer.activation),
            test_utils=("test_schema", "test_faketensor"),
        )


def test_an_operator_is_built_once_and_again_when_its_weights_change(monkeypatch: pytest.MonkeyPatch) -> None:
    built = []
    named = subject.engine_named
    monkeypatch.setattr(subject, "engine_named", lambda name: built.append(name) or named(name))
    layer, (x, residual) = layer_of(), inputs()
    with torch.no_grad():
        layer(x), layer(x, residual)
    assert len(built) == 1
    layer.values.mul_(2)
    check(layer, layer(x), x)
    assert len(built) == 2


def test_it_compiles_whole_and_is_built_once(monkeypatch: pytest.MonkeyPatch) -> None:
    built = []
    named = subject.engine_named
    monkeypatch.setattr(subject, "engine_named", lambda name: built.append(name) or named(name))
    block = Block().eval()
    compiled = torch.compile(block, fullgraph=True, backend="aot_eager")
    with torch.no_grad():
        first, second = compiled(*inputs()), compiled(*inputs())
        assert first.equal(second)
        torch.testing.assert_close(first, block(*inputs()))
    assert len(built) == 1


@settings(deadline=None, max_examples=3)
@given(st.sampled_from([1, 3, 5]))
def test_an_exported_program_takes_any_batch(images: int) -> None:
    block = Block().eval()
    batch = torch.export.Dim("batch", min=1, max=64)
    program = torch.export.export(block, inputs(), dynamic_shapes=({0: batch}, {0: batch}))
    x, residual = (value[:1].expand(images, -1, -1, -1).contiguous() for value in inputs())
    torch.testing.assert_close(program.module()(x, residual), block(x, residual))


def test_a_saved_program_gives_the_same_in_a_fresh_process(tmp_path: Path) -> None:
    block = Block().eval()
    torch.export.save(torch.export.export(block, inputs()), tmp_path / "block.pt2")
    torch.save({"inputs": inputs(), "y": block(*inputs()).detach()}, tmp_path / "values.pt")
    code = (
        "import sys, torch, kernels.pruned_conv\n"
        "program = torch.export.load(sys.argv[1]).module()\n"
        "values = torch.load(sys.argv[2], weights_only=True)\n"
        "torch.testing.assert_close(program(*values['inputs']), values['y'])\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "block.pt2"), str(tmp_path / "values.pt")]
    subprocess.run(command, check=True, cwd=ROOT, timeout=120)
