"""Which maps a network's values get, and which of them share a buffer. Nothing runs here."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

pytest.importorskip("triton", reason="recipes hold Triton's kernels")

from kernels.engines import Epilogue
from kernels.gpu.buffers import Buffers, choose_layout, last_readers, needed_maps
from kernels.gpu.feature_map import CHWN, PLAIN, SHIFTED, Shift
from kernels.gpu.map_layer import MapLayer
from kernels.gpu.recipe import Flatten, Recipe, Step, Value
from kernels.layout import ConvGeometry
from kernels.pack import pack_dense
from kernels.precision import FP16, FP32
from tests.kernels.cases import conv

CPU = torch.device("cpu")


def layer(geometry: ConvGeometry) -> MapLayer:
    return MapLayer(pack_dense(torch.ones(geometry.rows, geometry.columns), geometry), Epilogue(), FP32)


def block() -> Recipe:
    """A bottleneck with a strided projection: 1x1, 3x3 stride 2, projection, 1x1 with the residual."""
    x, a, b, p, y = (
        Value(8, (8, 8)),
        Value(4, (8, 8)),
        Value(4, (4, 4)),
        Value(16, (4, 4)),
        Value(16, (4, 4)),
    )
    steps = (
        Step("reduce", layer(conv(8, 4, (1, 1))), (x,), a),
        Step("spatial", layer(conv(4, 4, stride=(2, 2))), (a,), b),
        Step("project", layer(conv(8, 16, (1, 1), stride=(2, 2))), (x,), p),
        Step("expand", layer(conv(4, 16, (1, 1))), (b, p), y),
    )
    return Recipe(steps, x, y, FP32)


def test_values_get_the_widest_halo_of_their_readers() -> None:
    recipe = block()
    x, a = recipe.source, recipe.steps[0].result
    needs = needed_maps(recipe, CHWN)
    assert needs[x] == {PLAIN: (0, 0)} and needs[a] == {PLAIN: (1, 1)}
    assert all(set(wanted) == {PLAIN} for wanted in needs.values())


def test_shifted_values_get_a_copy_for_every_kind_of_reader() -> None:
    recipe = block()
    x, a, b, p, y = recipe.source, *(step.result for step in recipe.steps)
    needs = needed_maps(recipe, SHIFTED)
    assert needs[x] == {PLAIN: (0, 0), Shift(1, 2, 0): (0, 0)}
    assert needs[a] == {Shift(3, 2, 1): (1, 0)}
    assert needs[b] == needs[p] == needs[y] == {PLAIN: (0, 0)}


def test_several_copies_need_the_value_itself() -> None:
    x, a, b, c = Value(4, (8, 8)), Value(4, (8, 8)), Value(4, (8, 8)), Value(4, (4, 4))
    steps = (
        Step("first", layer(conv(4, 4, (1, 1))), (x,), a),
        Step("wide", layer(conv(4, 4)), (a,), b),
        Step("strided", layer(conv(4, 4, stride=(2, 2))), (a,), c),
    )
    needs = needed_maps(Recipe(steps, x, c, FP32), SHIFTED)
    assert set(needs[a]) == {Shift(3, 1, 1), Shift(3, 2, 1), PLAIN}
    assert needs[b] == {PLAIN: (0, 0)}, "a value nobody reads is still written somewhere"


def test_a_value_lives_until_its_last_reader() -> None:
    recipe = block()
    last = last_readers(recipe)
    assert [last[step.result] for step in recipe.steps] == [1, 3, 3, 4] and last[recipe.source] == 2


@pytest.mark.parametrize(
    ("geometry", "images", "expected"),
    [
        (conv(4, 4), 1, SHIFTED),
        (conv(4, 4), 128, CHWN),
        (conv(4, 4, groups=2), 1, CHWN),
        (conv(4, 4, padding=(2, 2), dilation=(2, 2)), 1, CHWN),
        (conv(4, 4, (1, 1), dilation=(2, 2)), 1, SHIFTED),
    ],
    ids=["few", "many", "grouped", "dilated", "dilated 1x1"],
)
def test_the_layout_follows_the_images_and_the_layers(
    geometry: ConvGeometry, images: int, expected: str
) -> None:
    x, y = Value(4, (8, 8)), Value(4, geometry.output_size(8, 8))
    recipe = Recipe((Step("only", layer(geometry), (x,), y),), x, y, FP16)
    assert choose_layout(recipe, images) == expected


def chain(length: int) -> Recipe:
    values = [Value(4, (8, 8)) for _ in range(length + 1)]
    steps = tuple(
        Step(str(index), layer(conv(4, 4)), (before,), after)
        for index, (before, after) in enumerate(pairwise(values))
    )
    return Recipe(steps, values[0], values[-1], FP32)


def allocate_all(recipe: Recipe) -> Buffers:
    buffers = Buffers(recipe, images=8, device=CPU)
    buffers.allocate(recipe.source)
    for index, step in enumerate(recipe.steps):
        buffers.allocate(step.result)
        sources = {buffers.plain(source).buffer.data_ptr() for source in step.sources}
        assert buffers.plain(step.result).buffer.data_ptr() not in sources
        buffers.release(index)
    return buffers


def test_a_chain_needs_two_buffers_and_one_for_its_result() -> None:
    assert len(allocate_all(chain(7)).made) == 3  # the result has no halo


def test_a_residual_keeps_its_buffer_until_it_is_added() -> None:
    recipe = block()
    assert len(allocate_all(recipe).made) == 5


def test_flattening_a_value_without_a_halo_takes_no_buffer() -> None:
    x, flat = Value(4, (3, 3)), Value(36, (1, 1), flat=True)
    buffers = Buffers(Recipe((Step("flat", Flatten(), (x,), flat),), x, flat, FP32), images=8, device=CPU)
    buffers.allocate(x)
    images = torch.randn(8, 4, 3, 3)
    buffers.plain(x).write(images)
    assert buffers.alias(x, flat) and len(buffers.made) == 1
    assert torch.equal(buffers.reader(flat)(), images.flatten(1))


def test_flattening_behind_a_halo_needs_a_copy() -> None:
    x, wide, flat = Value(4, (3, 3)), Value(4, (3, 3)), Value(36, (1, 1), flat=True)
    steps = (Step("conv", layer(conv(4, 4)), (x,), wide), Step("flat", Flatten(), (x,), flat))
    buffers = Buffers(Recipe(steps, x, flat, FP32), images=8, device=CPU)
    buffers.allocate(x)
    assert not buffers.alias(x, flat)
