"""Moments are those of a naive im2col in float64, whatever the layer, the blocks and the batches."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from bcbp import calibration
from bcbp.calibration import (
    GRADIENTS,
    INPUTS,
    Moments,
    MomentStream,
    calibration_images,
    collect,
    columns,
    damped,
    naive_columns,
    windows,
)
from bcbp.errors import SpecError
from bcbp.intake.model import adopt, state_digest
from bcbp.planning import Planner, make_plan, stats_for
from bcbp.spec import PruneSpec
from kernels.measure import Stopped
from tests.bcbp.small import small_images, small_model

ROOT = Path(__file__).resolve().parents[2]
LAYERS = {
    "3x3": (nn.Conv2d(6, 8, 3, padding=1), (10, 6, 7, 9)),
    "strided": (nn.Conv2d(6, 8, (3, 2), stride=(2, 3), padding=(0, 2)), (10, 6, 9, 8)),
    "dilated": (nn.Conv2d(4, 8, 3, dilation=(2, 1), padding=2), (10, 4, 8, 8)),
    "grouped": (nn.Conv2d(6, 9, 3, groups=3), (10, 6, 7, 7)),
    "1x1": (nn.Conv2d(6, 8, 1), (10, 6, 5, 5)),
    "linear": (nn.Linear(6, 8), (10, 6)),
    "linear over positions": (nn.Linear(6, 8), (10, 5, 6)),
}
# A sum of n products in float32 is off by at most n eps of the sum of their sizes, here by about sqrt(n) eps;
# blocks hold some hundred positions.
TOLERANCE = 1e-5


def inputs_of(shape: tuple[int, ...], seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", LAYERS)
def test_columns_at_all_positions_are_those_of_im2col(name: str) -> None:
    layer, shape = LAYERS[name]
    x = inputs_of(shape)
    view = windows(layer, x)
    every = torch.arange(view.shape[1] * view.shape[2]).expand(len(x), -1)
    found = columns(layer, x, every).transpose(1, 2).double()
    assert found.equal(naive_columns(layer, x))


@pytest.mark.parametrize("name", LAYERS)
def test_columns_times_the_weight_are_the_output(name: str) -> None:
    layer, shape = LAYERS[name]
    x = inputs_of(shape)
    weight = layer.weight.detach().double().flatten(1)
    naive = naive_columns(layer, x)
    outputs = torch.cat([part @ group for part, group in zip(weight.chunk(len(naive)), naive, strict=True)])
    with torch.no_grad():
        expected = layer(x) - (layer.bias.view(-1, 1, 1) if isinstance(layer, nn.Conv2d) else layer.bias)
    axis = 1 if isinstance(layer, nn.Conv2d) else -1
    torch.testing.assert_close(outputs.float(), expected.movedim(axis, 0).flatten(1), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("block_bytes", [1, 10_000, 1 << 26])
def test_streamed_moments_are_the_naive_ones(
    name: str, block_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibration, "_BLOCK_BYTES", block_bytes)
    monkeypatch.setattr(calibration, "POSITIONS_PER_COLUMN", 10_000)  # all of them
    layer, shape = LAYERS[name]
    original, current = inputs_of(shape), inputs_of(shape, 1)
    stream = MomentStream(layer, len(current), paired=True)
    for start in (0, 4, 8):  # a ragged last batch
        stream.add(current[start : start + 4], original[start : start + 4])
    found = stream.moments()
    before, now = naive_columns(layer, original), naive_columns(layer, current)
    count = now.shape[2]
    expected = (now @ now.mT / count, before @ now.mT / count, now.mean(2), before.mean(2))
    for one, other in zip((found.gram, found.cross, found.mean, found.original_mean), expected, strict=True):
        torch.testing.assert_close(one.double(), other, atol=TOLERANCE, rtol=TOLERANCE)
    centred = found.centred
    deviations = now - now.mean(2, keepdim=True)
    torch.testing.assert_close(
        centred.gram.double(), deviations @ deviations.mT / count, atol=TOLERANCE, rtol=TOLERANCE
    )
    torch.testing.assert_close(
        centred.cross.double(),
        (before - before.mean(2, keepdim=True)) @ deviations.mT / count,
        atol=TOLERANCE,
        rtol=TOLERANCE,
    )


def test_the_comparison_of_moments_can_fail() -> None:
    layer, shape = LAYERS["3x3"]
    now = naive_columns(layer, inputs_of(shape))
    other = naive_columns(layer, inputs_of(shape) * (1 + 1e-3))
    assert not torch.allclose(now @ now.mT, other @ other.mT, atol=TOLERANCE, rtol=TOLERANCE)


def test_a_few_positions_of_every_image_are_drawn_without_repetition_and_the_same_every_time() -> None:
    layer, shape = nn.Conv2d(1, 8, 1), (50, 1, 20, 20)
    x = torch.arange(400.0).view(1, 1, 20, 20).repeat(50, 1, 1, 1)  # the value is the position
    sums = []
    for _ in range(2):
        stream = MomentStream(layer, shape[0], paired=False)
        stream._per_image = 40
        drawn = stream._choose(50, 400)
        assert all(len(set(row)) == 40 for row in drawn.tolist())
        stream.add(x)
        sums.append(stream.moments().mean)
    assert sums[0].equal(sums[1])
    # Uniform: mean 199.5, and over 2000 draws a standard error of 115 / sqrt(2000) = 2.6; six of them.
    assert float(sums[0]) == pytest.approx(199.5, abs=16)


_WIDE = """
import re, torch
from pathlib import Path
from bcbp.calibration import MomentStream

def highest():
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])

torch.set_num_threads(2)
layer, x = torch.nn.Conv2d(512, 1, 3, padding=1), torch.randn(80, 512, 7, 7)
stream = MomentStream(torch.nn.Conv2d(1, 1, 1), 80, paired=True)
stream.add(x[:, :1], x[:, :1])  # loads what a first product loads
Path("/proc/self/clear_refs").write_text("5")  # the mark falls to what is in use now
before = highest()
stream = MomentStream(layer, 80, paired=True)
stream.add(x, x)
assert stream.moments().gram.shape == (1, 4608, 4608)
print(highest() - before)
"""


def test_a_layer_of_4608_columns_takes_less_than_a_gigabyte() -> None:
    """The high-water mark of a process of its own."""
    done = subprocess.run([sys.executable, "-c", _WIDE], check=True, capture_output=True, text=True, cwd=ROOT)
    kibibytes = int(done.stdout)
    assert 2 * 4608**2 * 4 / 1024 < kibibytes < 1e9 / 1024  # two matrices at least: the mark can rise


def test_damping_makes_every_gram_matrix_invertible() -> None:
    rank_one = torch.ones(1, 5, 5)
    for gram in (rank_one, torch.zeros(1, 5, 5)):
        assert torch.isfinite(torch.linalg.inv(damped(gram))).all()
    assert damped(rank_one)[0].diagonal().tolist() == pytest.approx([1.01] * 5)


def test_what_inputs_cannot_stand_in_for_is_their_energy_less_what_the_others_explain() -> None:
    gram = torch.tensor([[[2.0, 1.0], [1.0, 2.0]]])
    mean = torch.zeros(1, 2)
    moments = Moments(gram, gram, mean, mean)
    # 2.02 - 1 / 2.02 by hand, with 1 % of the mean diagonal on it.
    assert moments.free_energy.flatten().tolist() == pytest.approx([2.02 - 1 / 2.02] * 2, rel=1e-6)
    assert moments.energy.flatten().tolist() == [2.0, 2.0]


@pytest.mark.parametrize("needs", [INPUTS, GRADIENTS])
def test_statistics_cover_every_prunable_layer_and_leave_the_model_alone(needs: str) -> None:
    model = small_model()
    told: list[float] = []
    found = collect(needs, model, small_images(model.dataset, "calibration"), tell=told.append)  # type: ignore[arg-type]
    assert found.keys() == {info.name for info in model.layers}
    assert told[-1] == 1.0 and told == sorted(told)
    assert state_digest(model.module) == model.digest
    assert all(value.grad is None for value in model.module.parameters())
    assert not any(child._forward_pre_hooks for child in model.module.modules())


@pytest.mark.parametrize("needs", [INPUTS, GRADIENTS])
def test_collecting_stops_when_it_is_asked_to(needs: str) -> None:
    model = small_model()
    with pytest.raises(Stopped):
        collect(needs, model, small_images(model.dataset, "calibration"), should_stop=lambda: True)  # type: ignore[arg-type]


def test_frozen_weights_have_gradients_too() -> None:
    model = small_model()
    model.module.requires_grad_(False)
    found = collect(GRADIENTS, model, small_images(model.dataset, "calibration"))  # type: ignore[arg-type]
    assert all(bool(part.any()) for part in found.values())  # type: ignore[union-attr]


def test_criteria_that_look_at_weights_alone_never_ask_for_images() -> None:
    untrained = small_model(trained=False)
    assert stats_for(untrained, "l2") is None
    with pytest.raises(SpecError, match=r"sample has none\. Random weights\. .*Choose a criterion"):
        stats_for(untrained, "obs")
    with pytest.raises(SpecError, match="has none"):
        calibration_images(untrained)


def test_a_planner_without_the_statistics_that_it_needs_is_refused() -> None:
    with pytest.raises(SpecError, match=r"calibration statistics \(gradients\) for criterion taylor"):
        Planner(small_model(), criterion="taylor")


def test_a_plan_collects_what_its_criterion_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration, "load_images", small_images)
    plan = make_plan(small_model(), PruneSpec(criterion="activation", tile=8))
    assert plan.sparsity == pytest.approx(0.5, abs=0.01)


def test_too_wide_a_layer_is_refused_by_name() -> None:
    model = adopt(
        nn.Sequential(nn.Flatten(), nn.Linear(28 * 28, 20), nn.Linear(20, 10)),
        name="wide",
        input_shape=(1, 28, 28),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(calibration, "MOST_COLUMNS", 100)
        with pytest.raises(SpecError, match="1 is not one: its 784 columns are more than the 100"):
            collect(INPUTS, model, small_images(None, "calibration"))  # type: ignore[arg-type]
