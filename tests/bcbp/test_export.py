"""Exports: a contract over the table, and for each form that it is the pruned network and nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import onnx
import pytest
import torch
from onnx.reference import ReferenceEvaluator
from safetensors.torch import load_file, save_file
from torch import Tensor

import bcbp
from bcbp import cli, exporting, recovering
from bcbp.errors import ModelError, SpecError
from bcbp.export import EXPORTS, Pruned
from bcbp.export.sizes import sizes
from bcbp.export_request import USUAL, ExportRequest
from bcbp.exporting import export, prune
from bcbp.intake.model import state_digest
from bcbp.mask_file import read_masks
from bcbp.patterns import PATTERNS
from bcbp.planning import make_plan
from bcbp.preprocessing import Adjustment
from bcbp.recovering import recover
from bcbp.spec import PruneSpec
from kernels.precision import FP32
from kernels.testing import network_tolerance
from tests.bcbp.networks import build
from tests.bcbp.small import small_images, small_model

ROOT = Path(__file__).resolve().parents[2]
MODEL = small_model()


def pruned_of(pattern: str = "bcbp", model: bcbp.LoadedModel = MODEL, **spec: object) -> Pruned:
    plan = make_plan(model, PruneSpec(pattern=pattern, tile=8, **spec))  # type: ignore[arg-type]
    return Pruned(model, plan, bcbp.apply_plan(model, plan), "none")


def images(count: int = 3) -> Tensor:
    return torch.randn(count, *MODEL.input_shape, generator=torch.Generator().manual_seed(0))


def check_same(outputs: Tensor, pruned: Pruned) -> None:
    with torch.no_grad():
        expected = pruned.module(images())
    size = float(expected.square().mean().sqrt())
    columns = max(layer.columns for layer in pruned.model.layers)
    allowed = network_tolerance(len(pruned.model.layers), columns, FP32) * size
    torch.testing.assert_close(outputs, expected, rtol=0, atol=allowed)


@pytest.mark.parametrize("form", [name for name, entry in EXPORTS.items() if not entry.needs])
def test_every_form_writes_files_that_its_words_name(form: str, tmp_path: Path) -> None:
    paths = EXPORTS[form].write(pruned_of(), tmp_path)
    assert paths and all(path.parent == tmp_path and path.stat().st_size for path in paths)
    assert all(path.name in EXPORTS[form].description for path in paths)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_the_weights_load_into_the_original_class(pattern: str, tmp_path: Path) -> None:
    pruned = pruned_of(pattern)
    (path,) = EXPORTS["weights"].write(pruned, tmp_path)
    fresh = small_model().module
    fresh.load_state_dict(load_file(path))
    assert state_digest(fresh) == state_digest(pruned.module)


@pytest.mark.parametrize("permute", [False, True])
@pytest.mark.parametrize("pattern", PATTERNS)
def test_masks_give_the_plan_back(pattern: str, permute: bool, tmp_path: Path) -> None:
    pruned = pruned_of(pattern, permute=permute)
    (path,) = EXPORTS["masks"].write(pruned, tmp_path)
    assert read_masks(path, MODEL).to_json() == pruned.plan.to_json()


def test_masks_of_other_weights_another_version_or_no_masks_are_refused(tmp_path: Path) -> None:
    (path,) = EXPORTS["masks"].write(pruned_of(), tmp_path)
    with pytest.raises(ModelError, match="Load that model"):
        read_masks(path, replace(MODEL, digest="0" * 64))
    plain = tmp_path / "plain.safetensors"
    save_file({"weight": torch.zeros(2)}, plain)
    with pytest.raises(ModelError, match="got no format"):
        read_masks(plain, MODEL)
    (tmp_path / "text").write_text("hello")
    with pytest.raises(ModelError, match="is none"):
        read_masks(tmp_path / "text", MODEL)
    header = {"format": "bcbp-masks", "version": "1", "dense_digest": MODEL.digest, "plan": "{}"}
    save_file({"weight": torch.zeros(2)}, plain, header)
    with pytest.raises(ModelError, match="damaged"):
        read_masks(plain, MODEL)


def test_a_recipe_makes_the_same_network_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = PruneSpec(tile=8, ratio=0.4, ratios=(("stages.1.0.conv2", 0.7),), recovery="batchnorm", seed=3)
    plan = make_plan(MODEL, spec)
    for module in (recovering, sys.modules["bcbp.calibration"]):
        monkeypatch.setattr(module, "load_images", small_images)
    module, recovery = recover(MODEL, plan)
    EXPORTS["recipe"].write(Pruned(MODEL, plan, module, recovery), tmp_path)
    recipe = json.loads((tmp_path / "recipe.json").read_text())
    assert PruneSpec.from_json(recipe["spec"]) == spec and recipe["dense_digest"] == MODEL.digest
    monkeypatch.setattr(bcbp, "load_model", lambda _name: MODEL)
    monkeypatch.chdir(tmp_path)
    exec(compile((tmp_path / "recipe.py").read_text(), "recipe.py", "exec"), {})
    again = load_file(tmp_path / "weights.safetensors")
    assert all(value.equal(again[name]) for name, value in module.state_dict().items())


@pytest.mark.parametrize("pattern", ["bcbp", "block", "filter"])
def test_the_packed_network_needs_only_kernels(pattern: str, tmp_path: Path) -> None:
    pruned = pruned_of(pattern, permute=True)
    EXPORTS["packed"].write(pruned, tmp_path)
    torch.save(images(), tmp_path / "images.pt")
    code = (
        "import sys, torch; from network import load\n"
        "with torch.no_grad():\n"
        "    torch.save(load()(torch.load('images.pt')), 'outputs.pt')\n"
        "assert not {name for name in sys.modules if name.split('.')[0] == 'bcbp'}\n"
    )
    environment = {"PYTHONPATH": str(ROOT), "PATH": ""}
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, env=environment, timeout=120)
    check_same(torch.load(tmp_path / "outputs.pt"), pruned)


def test_the_program_is_the_pruned_network_for_any_batch(tmp_path: Path) -> None:
    pruned = pruned_of()
    (path,) = EXPORTS["program"].write(pruned, tmp_path)
    check_same(torch.export.load(path).module()(images()), pruned)


@pytest.mark.parametrize("form", ["packed", "program"])
def test_a_network_that_branches_on_values_is_refused_with_the_reason(form: str, tmp_path: Path) -> None:
    module, shape = build("branching")
    branching = bcbp.adopt(module, name="branching", input_shape=shape)
    with pytest.raises(ModelError, match="Expected a"):
        EXPORTS[form].write(pruned_of(model=branching), tmp_path)
    assert EXPORTS["weights"].write(pruned_of(model=branching), tmp_path)


def test_node_data_names_every_pruned_layer_of_the_program(tmp_path: Path) -> None:
    pruned = pruned_of(ratios=(("stages.1.0.conv2", 0.75),))
    (path,) = EXPORTS["explorer"].write(pruned, tmp_path)
    results = json.loads(path.read_text())["graph"]["results"]
    removed = sorted(layer.ratio for layer in pruned.plan if layer.ratio > 0)
    assert sorted(entry["value"] for entry in results.values()) == removed and removed[-1] == 0.75
    assert set(results) <= {node.name for node in pruned.program.graph.nodes}


def test_onnx_holds_the_masked_network(tmp_path: Path) -> None:
    pruned = pruned_of()
    (path,) = EXPORTS["onnx"].write(pruned, tmp_path)
    onnx.checker.check_model(str(path))
    (outputs,) = ReferenceEvaluator(str(path)).run(None, {"images": images().numpy()})
    check_same(torch.from_numpy(outputs), pruned)


def test_zeros_compress_and_packing_saves_what_was_removed() -> None:
    dense, zeros, packed = sizes(pruned_of(ratio=0.75))
    assert dense.bytes == zeros.bytes > packed.bytes
    assert zeros.compressed < dense.compressed


@pytest.mark.parametrize("change", [{"forms": ()}, {"forms": ("cake",)}, {"forms": ("masks", "masks")}])
def test_a_request_that_cannot_be_carried_out_is_refused(change: dict[str, tuple[str, ...]]) -> None:
    with pytest.raises(SpecError, match="Expected"):
        ExportRequest(**change)  # type: ignore[arg-type]


def test_a_request_survives_json() -> None:
    request = ExportRequest(spec=PruneSpec(ratio=0.3), forms=("masks",))
    assert ExportRequest.from_json(json.loads(json.dumps(request.to_json()))) == request
    assert set(USUAL) == {name for name, entry in EXPORTS.items() if not entry.needs}


def test_the_report_names_files_and_reasons(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    untrained = small_model(trained=False)
    monkeypatch.setattr(exporting, "load_model", lambda _name: untrained)
    monkeypatch.setattr(exporting, "find_spec", lambda _name: None)
    request = ExportRequest(spec=PruneSpec(tile=8), forms=("masks", "onnx"))
    report = export(request, tmp_path / "out", root=tmp_path)
    assert report["files"] == {"masks": ["masks.safetensors"]}
    assert "pip install onnx onnxscript" in report["missing"]["onnx"]
    assert [size["form"] for size in report["sizes"]] == ["dense", "with zeros", "packed"]
    assert exporting.zipped(tmp_path / "out").stat().st_size


def test_an_export_no_longer_depends_on_what_was_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    untrained = small_model(trained=False)
    monkeypatch.setattr(exporting, "load_model", lambda _name: untrained)
    pruned = prune(ExportRequest(spec=PruneSpec(tile=8, allocation="sensitivity")), root=tmp_path)
    assert pruned.plan.spec.allocation == "explicit"
    assert make_plan(untrained, pruned.plan.spec).sparsity == pruned.plan.sparsity


def test_the_command_writes_and_lists(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(exporting, "load_model", lambda _name: small_model(trained=False))
    out = tmp_path / "out"
    command = ["export", "--tile", "8", "--forms", "weights,recipe", "--out", str(out)]
    assert cli.main(command) == 0
    printed = capsys.readouterr().out
    assert {path.name for path in out.iterdir()} == {"weights.safetensors", "recipe.json", "recipe.py"}
    assert "recipe.py" in printed and "bytes of all tensors" in printed


def test_an_export_of_before_there_were_own_masks_and_preparations_keeps_its_name() -> None:
    request = ExportRequest(spec=PruneSpec(tile=8), forms=("weights", "masks"))
    assert request.id == "fab3160379ee"  # as it was written then
    changed = (
        replace(request, adjustment=Adjustment(resize=32)),
        replace(request, spec=replace(request.spec, masks="mine-0123456789ab")),
    )
    assert len({request.id, *(one.id for one in changed)}) == 3
