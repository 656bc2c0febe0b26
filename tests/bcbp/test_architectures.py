"""Models by name: offline, labelled honestly, and damaged files refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from bcbp.errors import ModelError
from bcbp.intake import architectures
from bcbp.intake.architectures import MODELS, load_model
from bcbp.intake.residual import ResidualNet

SMALL = ("sample", "cifar-resnet20", "resnet18", "mobilenet_v2")


@pytest.fixture
def no_weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(architectures, "ASSETS", tmp_path)
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


def test_weights_from_a_file_are_taken_as_trained(tmp_path: Path) -> None:
    path = tmp_path / "mine.safetensors"
    save_file(weights_of("sample"), path)
    model = load_model("sample", weights=path)
    assert model.trained and model.dataset is not None and model.note == "Weights from mine.safetensors."
    torch.save(weights_of("sample"), tmp_path / "mine.pt")
    assert load_model("sample", weights=tmp_path / "mine.pt").trained


def test_weights_in_the_local_cache_of_torchvision_are_found(tmp_path: Path, no_weights: None) -> None:
    (tmp_path / "checkpoints").mkdir()
    torch.save(weights_of("resnet18"), tmp_path / "checkpoints" / "resnet18-f37072fd.pth")
    model = load_model("resnet18")
    assert model.trained and model.dataset is None
    assert "resnet18-f37072fd.pth" in model.note and "no accuracy" in model.note


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ModelError, match=r"Expected a model out of sample, cifar-resnet20.*got 'alexnet'"):
        load_model("alexnet")


def test_damaged_and_foreign_files_are_refused_in_one_line(tmp_path: Path) -> None:
    cases = {
        "missing.safetensors": "there is none",
        "empty.safetensors": "cannot be read",
        "page.pt": "cannot be read",
        "code.pt": "cannot be read",
        "number.pt": "holds something else",
        "other.safetensors": "tensors of this architecture; other.safetensors differs in",
        "nan.safetensors": "holds others in fc.bias",
    }
    (tmp_path / "empty.safetensors").write_bytes(b"")
    (tmp_path / "page.pt").write_text("<html>")
    torch.save(ResidualNet(in_channels=1, widths=(8,), blocks=(1,), classes=2), tmp_path / "code.pt")
    torch.save({"epoch": 3}, tmp_path / "number.pt")
    save_file(weights_of("cifar-resnet20"), tmp_path / "other.safetensors")
    broken = weights_of("sample")
    broken["fc.bias"][0] = torch.nan
    save_file(broken, tmp_path / "nan.safetensors")
    for name, message in cases.items():
        with pytest.raises(ModelError, match=message) as caught:
            load_model("sample", weights=tmp_path / name)
        assert "\n" not in str(caught.value)
