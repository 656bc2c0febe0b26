"""From a file to a model: recognised, kept once, and known to whoever has its reference."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torchvision import models

import bcbp
from bcbp.cli.command import model_name
from bcbp.errors import ModelError
from bcbp.intake.architectures import load_file, load_model
from bcbp.intake.containers import strip_prefixes
from bcbp.intake.inference import infer, match, ranked
from bcbp.intake.reading import Reading, read_file
from bcbp.intake.residual import ResidualNet
from bcbp.intake.signatures import CLASSES, shapes_of, signatures
from bcbp.intake.uploads import UploadStore

State = dict[str, Tensor]


def sample_like(classes: int = 10) -> nn.Module:
    torch.manual_seed(3)
    return ResidualNet(in_channels=1, widths=(64, 128, 256), blocks=(1, 1, 1), classes=classes).eval()


def without(state: State, *parts: str) -> State:
    return {name: value for name, value in state.items() if not any(part in name for part in parts)}


WRAPPED: dict[str, Callable[[nn.Module], object]] = {
    "state_dict": lambda net: net.state_dict(),
    "module": lambda net: net,
    "parallel": lambda net: {
        "state_dict": {f"module.{k}": v for k, v in net.state_dict().items()},
        "epoch": 3,
    },
    "compiled": lambda net: {f"_orig_mod.{k}": v for k, v in net.state_dict().items()},
    "lightning": lambda net: {
        "state_dict": {f"model.{k}": v for k, v in net.state_dict().items()},
        "loops": {},
    },
    "averaged": lambda net: {"model": torch.optim.swa_utils.AveragedModel(net).state_dict()},
    "training": lambda net: {
        "model": net.state_dict(),
        "optimizer": torch.optim.Adam(net.parameters()).state_dict(),
        "ema": net.state_dict(),
    },
    "without counters": lambda net: without(net.state_dict(), "num_batches_tracked"),
    "half": lambda net: {k: v.half() if v.is_floating_point() else v for k, v in net.state_dict().items()},
}


@pytest.mark.parametrize("wrapped", WRAPPED)
def test_weights_are_found_in_what_training_scripts_save(wrapped: str, tmp_path: Path) -> None:
    net = sample_like()
    torch.save(WRAPPED[wrapped](net), tmp_path / "mine.pt")
    model = load_file(tmp_path / "mine.pt")
    assert model.trained and model.name.endswith("@sample")
    assert model.dataset is not None and model.dataset.name == "fashion-mnist"
    x = torch.rand(2, 1, 28, 28)
    with torch.no_grad():
        # float16 keeps 11 bits of each weight; all the others come through as they were
        assert torch.allclose(model.module(x), net(x), atol=0.05 if wrapped == "half" else 0)


def test_scripted_and_exported_modules_give_the_same_weights(tmp_path: Path) -> None:
    net = sample_like()
    torch.jit.save(torch.jit.trace(net, torch.zeros(1, 1, 28, 28)), tmp_path / "scripted.pt")
    torch.export.save(torch.export.export(net, (torch.zeros(1, 1, 28, 28),)), tmp_path / "exported.pt2")
    for name in ("scripted.pt", "exported.pt2"):
        assert (
            load_file(tmp_path / name).digest == bcbp.adopt(net, name="net", input_shape=(1, 28, 28)).digest
        )


def test_a_head_of_other_classes_is_rebuilt(tmp_path: Path) -> None:
    net = models.squeezenet1_1(num_classes=7).eval()
    torch.save(net.state_dict(), tmp_path / "seven.pt")
    model = load_file(tmp_path / "seven.pt")
    assert model.trained and model.dataset is None and "a head of 7 classes" in model.note
    x = torch.rand(1, 3, 224, 224)
    with torch.no_grad():
        assert model.module(x).equal(net(x))


def test_released_densenets_have_older_names_and_are_recognised() -> None:
    shapes = {
        name: tuple(size or 9 for size in shape) for name, shape in signatures()["densenet121"].shapes.items()
    }
    old = {re.sub(r"(denselayer\d+\.(?:norm|conv))", r"\1.", name): shape for name, shape in shapes.items()}
    assert old.keys() != shapes.keys()
    assert infer(strip_prefixes(old)[0]).name == "densenet121"


def test_a_network_without_its_head_is_taken_and_said_to_be_random_there(tmp_path: Path) -> None:
    torch.save(without(models.resnet18().state_dict(), "fc."), tmp_path / "features.pt")
    model = load_file(tmp_path / "features.pt")
    assert not model.trained and "no head that fits: it is random" in model.note


def test_a_likely_architecture_is_asked_for_and_taken_when_named(tmp_path: Path) -> None:
    torch.save(without(sample_like().state_dict(), "stages.2.0.bn"), tmp_path / "part.pt")
    with pytest.raises(ModelError, match=r"sample is likely, 83% fit \(stages.2.0.bn1.weight and 7 more"):
        load_file(tmp_path / "part.pt")
    model = load_file(tmp_path / "part.pt", "sample")
    assert not model.trained and model.dataset is None
    assert "Random, for want of them in the file: 8 tensors." in model.note


def test_what_fits_nothing_is_refused_with_the_closest(tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(3)}, tmp_path / "odd.pt")
    with pytest.raises(
        ModelError, match=r"one of 78 known architectures; the closest is .*too few to build it"
    ):
        load_file(tmp_path / "odd.pt")
    with pytest.raises(
        ModelError, match=r"Expected the tensors of resnet18 in odd.pt; 0% fit: conv1.weight and"
    ):
        load_file(tmp_path / "odd.pt", "resnet18")


def test_a_file_is_read_once_and_forgotten_when_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save(sample_like().state_dict(), tmp_path / "Mine (2).pt")
    store = UploadStore()
    upload = store.take_in(tmp_path / "Mine (2).pt")
    assert upload.id.startswith("mine-2-") and store.list() == (upload.id,)
    monkeypatch.setattr("bcbp.intake.uploads.read_file", lambda *_: pytest.fail("read again"))
    assert store.take_in(tmp_path / "Mine (2).pt") == upload
    store.forget(upload.id)
    assert store.list() == ()
    with pytest.raises(ModelError, match="is not on this machine"):
        store.read(upload.id)


def test_of_two_that_take_in_the_same_file_at_once_the_first_folder_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save(sample_like().state_dict(), tmp_path / "mine.pt")
    store = UploadStore(tmp_path / "root")

    def read_meanwhile(path: Path, made: Path) -> Reading:
        with monkeypatch.context() as as_it_is:
            as_it_is.setattr("bcbp.intake.uploads.read_file", read_file)
            first = store.take_in(path)
        (tmp_path / "root" / "models" / first.id / "in use").touch()
        return read_file(path, made)

    monkeypatch.setattr("bcbp.intake.uploads.read_file", read_meanwhile)
    found = store.take_in(tmp_path / "mine.pt")
    assert (tmp_path / "root" / "models" / found.id / "in use").exists()
    assert store.list() == (found.id,)


def test_a_refused_file_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "empty.pt").write_bytes(b"")
    store = UploadStore(tmp_path / "root")
    with pytest.raises(ModelError, match="an empty file"):
        store.take_in(tmp_path / "empty.pt")
    assert store.list() == () and not list((tmp_path / "root" / "models").iterdir())


def test_onnx_is_kept_and_not_built(tmp_path: Path) -> None:
    from tests.bcbp.intake.corpus import onnx

    (tmp_path / "net.onnx").write_bytes(onnx())
    with pytest.raises(ModelError, match=r"net.onnx: ONNX is only looked at\. .*save the state_dict"):
        load_file(tmp_path / "net.onnx")


def test_the_command_line_takes_a_file_where_it_takes_a_name(tmp_path: Path) -> None:
    torch.save(sample_like().state_dict(), tmp_path / "mine.pt")
    reference = model_name(f"{tmp_path / 'mine.pt'}@sample")
    assert reference == model_name(str(tmp_path / "mine.pt")) and load_model(reference).trained
    assert model_name("resnet18") == "resnet18"


def test_every_shipped_signature_is_its_own_and_names_a_head() -> None:
    for name, signature in signatures().items():
        assert signature.head, name
        found = match(
            signature, {key: tuple(size or 9 for size in shape) for key, shape in signature.shapes.items()}
        )
        assert found.share == 1 and found.is_certain and found.classes == 9
    distinct = {tuple(sorted(one.shapes.items())) for one in signatures().values()}
    assert len(distinct) == len(signatures())


@pytest.mark.parametrize("name", ["resnet50", "squeezenet1_0", "mobilenet_v2", "swin_t"])
def test_the_shipped_table_is_that_of_torchvision(name: str) -> None:
    def build(classes: int) -> nn.Module:
        with torch.device("meta"):
            return models.get_model(name, weights=None, num_classes=classes)

    assert shapes_of(build) == signatures()[name].shapes


def test_the_best_match_comes_first_and_twins_are_told_apart() -> None:
    shapes = {
        key: tuple(size or 1000 for size in shape)
        for key, shape in signatures()["wide_resnet50_2"].shapes.items()
    }
    assert [one.name for one in ranked(shapes)][:1] == ["wide_resnet50_2"] == [infer(shapes).name]
    assert CLASSES not in {size for shape in shapes.values() for size in shape}
