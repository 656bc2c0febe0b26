"""Models by name: offline, labelled honestly, and damaged files refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from bcbp.errors import ModelError
from bcbp.intake import entries
from bcbp.intake.architectures import MODELS, check_model, load_model

SMALL = ("sample", "cifar-resnet20", "resnet18", "mobilenet_v2")


@pytest.fixture
def no_weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(entries, "ASSETS", tmp_path)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))


def weights_of(name: str) -> dict[str, torch.Tensor]:
    return {key: value.clone() for key, value in MODELS[name].build().state_dict().items()}


@pytest.mark.parametrize("name", SMALL)
def test_a_model_without_weights_is_random_the_same_every_time_and_says_so(
    name: str, no_weights: None
) -> None:
    model, again = load_model(name), load_model(name)
    assert model.digest == again.digest
    assert not model.trained and model.dataset is None
    assert model.note.startswith("Random weights (seed 0)")
    assert model.layers and not model.module.training


def test_loading_leaves_the_random_state_of_the_caller_alone(no_weights: None) -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    load_model("sample")
    assert torch.rand(1).equal(expected)


def test_separable_networks_carry_a_warning(no_weights: None) -> None:
    model = load_model("mobilenet_v2")
    assert "Depth-wise separable" in model.note
    reasons = dict(model.skipped)
    assert reasons["features.1.conv.0.0"].startswith("depth-wise convolution")


def test_weights_in_the_local_cache_of_torchvision_are_found(tmp_path: Path, no_weights: None) -> None:
    (tmp_path / "checkpoints").mkdir()
    torch.save(weights_of("resnet18"), tmp_path / "checkpoints" / "resnet18-f37072fd.pth")
    model = load_model("resnet18")
    assert model.trained and model.dataset is None
    assert "resnet18-f37072fd.pth" in model.note and "so no accuracy" in model.no_accuracy


def test_damaged_weights_in_the_cache_are_named(tmp_path: Path, no_weights: None) -> None:
    (tmp_path / "checkpoints").mkdir()
    cached = tmp_path / "checkpoints" / "resnet18-f37072fd.pth"
    cached.write_bytes(b"half of it")
    with pytest.raises(ModelError, match=r"resnet18-f37072fd.pth; it cannot be read .*fetch it again"):
        load_model("resnet18")
    torch.save(weights_of("sample"), cached)
    with pytest.raises(
        ModelError, match=r"Expected the tensors of resnet18 in resnet18-f37072fd.pth; .*missing"
    ):
        load_model("resnet18")


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(
        ModelError, match=r"Expected a model out of sample, cifar-resnet20.*got 'resnet-9000'"
    ):
        load_model("resnet-9000")


def test_other_classifiers_of_torchvision_have_names_too(no_weights: None) -> None:
    model = load_model("squeezenet1_1")
    assert model.name == "squeezenet1_1" and model.input_shape == (3, 224, 224) and not model.trained


@pytest.mark.parametrize(
    "name", ["file:", "file:../../etc@resnet18", "file:a-0123456789ab", "file:a@resnet18"]
)
def test_a_broken_reference_is_refused(name: str) -> None:
    with pytest.raises(ModelError, match="Expected a stored file as file:NAME-DIGEST@ARCHITECTURE"):
        check_model(name)


def test_a_reference_to_a_file_that_is_not_here_is_well_formed_and_cannot_be_loaded() -> None:
    name = "file:net-0123456789ab@resnet18"
    check_model(name)
    with pytest.raises(ModelError, match=r"net-0123456789ab is not on this machine. Upload it again"):
        load_model(name)
    with pytest.raises(ModelError, match="got 'resnet-9000'"):
        check_model("file:net-0123456789ab@resnet-9000")
