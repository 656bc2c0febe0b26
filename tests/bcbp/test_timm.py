"""Networks of timm, whose weights are never fetched: by name and out of a file, pruned and run as others."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import bcbp
from bcbp.cli.command import model_name
from bcbp.errors import ModelError
from bcbp.intake import entries
from bcbp.intake.architectures import check_model, load_model
from bcbp.intake.expectation import expected_preprocessing

timm = pytest.importorskip("timm", reason="timm is an optional extra and not installed")


@pytest.mark.parametrize(
    ("name", "engine"), [("timm:test_resnet", "cpu-tiles"), ("timm:test_efficientnet", "reference")]
)
def test_a_network_by_name_runs_pruned_as_its_masked_dense_twin_does(name: str, engine: str) -> None:
    model = bcbp.load_model(name)
    assert not model.trained and model.digest == bcbp.load_model(name).digest
    plan = bcbp.make_plan(model, bcbp.PruneSpec(pattern="bcbp", ratio=0.5, tile=8))
    assert plan.sparsity > 0.4
    masked = bcbp.apply_plan(model, plan)
    network = bcbp.convert(model.module, plan, input_shape=model.input_shape, engine=engine)
    assert any(run.engine == engine for run in network.layers)
    x = torch.randn(2, *model.input_shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected, found = masked(x), network(x)
        dense = model.module(x)
    scale = expected.abs().max()
    assert (found - expected).abs().max() < 1e-4 * scale
    assert (dense - expected).abs().max() > 1e-2 * scale  # the masks do remove something


def test_a_file_of_weights_is_taken_as_the_architecture_that_is_named(tmp_path: Path) -> None:
    torch.manual_seed(1)
    made = timm.create_model("test_resnet", num_classes=7).eval()
    torch.save({"state_dict": {f"module.{k}": v for k, v in made.state_dict().items()}}, tmp_path / "mine.pt")
    model = bcbp.load_file(tmp_path / "mine.pt", "timm:test_resnet")
    assert model.trained and model.name.endswith("@timm:test_resnet") and "a head of 7 classes" in model.note
    assert model_name(f"{tmp_path / 'mine.pt'}@timm:test_resnet") == model.name
    assert load_model(model.name).digest == model.digest
    assert expected_preprocessing(model).reason == "as timm's test_resnet expects"
    x = torch.rand(1, *model.input_shape)
    with torch.no_grad():
        assert model.module(x).equal(made(x))


def test_names_that_timm_does_not_know_and_files_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"Expected a model that timm knows; got 'resnet-9000'"):
        load_model("timm:resnet-9000")
    torch.save(timm.create_model("test_resnet").state_dict(), tmp_path / "mine.pt")
    with pytest.raises(ModelError, match=r"Expected the tensors of timm:test_efficientnet in mine\.pt"):
        bcbp.load_file(tmp_path / "mine.pt", "timm:test_efficientnet")


def test_without_timm_its_names_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entries, "find_spec", lambda _name: None)
    check_model("timm:resnet26")  # a stored run stays readable
    for name in ("timm:resnet26", "file:mine-0123456789ab@timm:resnet26"):
        with pytest.raises(ModelError, match=r"pip install timm|is not on this machine"):
            load_model(name)
