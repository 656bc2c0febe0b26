"""A file of masks that comes back: the same plan for jobs and commands, or a sentence that says why not."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from bcbp import cli, exporting
from bcbp.errors import ModelError, SpecError
from bcbp.experiment import compare
from bcbp.export import Pruned
from bcbp.export_request import ExportRequest
from bcbp.exporting import prune
from bcbp.intake import headers
from bcbp.intake.architectures import load_model
from bcbp.intake.model import adopt
from bcbp.intake.uploads import UploadStore
from bcbp.mask_file import read_masks, write_masks
from bcbp.mask_store import MaskStore
from bcbp.masking import apply_plan
from bcbp.plan import PruningPlan
from bcbp.planning import Planner, make_plan
from bcbp.report import settled_spec
from bcbp.request import CompareRequest
from bcbp.spec import PruneSpec
from kernels.pack import unpack
from tests.bcbp.small import small_model, use_small_model

MODEL = small_model()
LAYER = MODEL.layers[1]
EDITED = {"ratios": ((LAYER.name, 0.75),), "exclude": (MODEL.layers[2].name,), "ratio": 0.4, "seed": 3}


def written(plan: PruningPlan, folder: Path) -> Path:
    path = folder / "masks.safetensors"
    write_masks(plan, path, Pruned(MODEL, plan, MODEL.module, "none").metadata())
    return path


def brought(plan: PruningPlan, folder: Path) -> PruneSpec:
    """The spec of a plan that was written into a file and taken in again."""
    upload = MaskStore().take_in(written(plan, folder))
    return MaskStore().plan(upload.id, MODEL).spec


def same_masks(one: PruningPlan, other: PruningPlan) -> bool:
    return [layer.mask.to_json() for layer in one] == [layer.mask.to_json() for layer in other]


@pytest.mark.parametrize("permute", [False, True])
@pytest.mark.parametrize("pattern", ["bcbp", "filter", "unstructured"])
def test_a_spec_that_names_the_file_gives_its_plan_again(pattern: str, permute: bool, tmp_path: Path) -> None:
    plan = make_plan(MODEL, PruneSpec(pattern=pattern, tile=8, permute=permute, **EDITED))  # type: ignore[arg-type]
    spec = brought(plan, tmp_path)
    again = make_plan(MODEL, PruneSpec.from_json(json.loads(json.dumps(spec.to_json()))))
    assert same_masks(again, plan) and again.kept_dense == plan.kept_dense
    assert replace(again.spec, masks="") == plan.spec
    for layer in plan:
        weight, geometry = MODEL.weight(layer.name), MODEL.layer(layer.name).geometry
        packed = again[layer.name].mask.pack(weight, geometry)
        assert torch.equal(unpack(packed), weight * layer.mask.dense())


def test_masks_that_no_setting_makes_are_kept_as_they_are(tmp_path: Path) -> None:
    plan = make_plan(MODEL, PruneSpec(tile=8))
    layer = plan[LAYER.name]
    keep = layer.mask.keep.flip(1)
    odd = replace(layer, mask=replace(layer.mask, keep=keep))
    by_hand = replace(plan, layers=tuple(odd if one is layer else one for one in plan))
    spec = brought(by_hand, tmp_path)
    again = Planner(MODEL, tile=8).plan(spec)
    assert torch.equal(again[LAYER.name].mask.keep, keep) and not same_masks(again, plan)


def test_a_comparison_and_an_export_run_the_masks_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_small_model(monkeypatch)
    told: dict[str, Any] = {"on_event": lambda *_: None}
    usual = CompareRequest(
        methods=("dense", "column", "bcbp"), spec=PruneSpec(tile=8, permute=True, recovery="none"), batches=()
    )
    first = compare(usual, **told)
    plan = make_plan(MODEL, usual.spec)
    spec = replace(brought(plan, tmp_path), recovery="none")
    second = compare(replace(usual, spec=spec), **told)
    for before, after in zip(first["rows"], second["rows"], strict=True):
        assert after["accuracy"] == before["accuracy"] and after["layers"] == before["layers"]
    notes = {row["method"]: any(spec.masks in note for note in row["notes"]) for row in second["rows"]}
    assert notes == {"dense": False, "column": False, "bcbp": True}
    assert settled_spec(spec, second["rows"][2]) == spec
    monkeypatch.setattr(exporting, "load_model", lambda _name: small_model(trained=False))
    pruned = prune(ExportRequest(spec=spec), root=tmp_path)
    assert same_masks(pruned.plan, plan)
    out = tmp_path / "again"
    out.mkdir()
    assert same_masks(read_masks(written(pruned.plan, out), MODEL), plan)


def test_of_several_methods_one_is_the_files(tmp_path: Path) -> None:
    spec = brought(make_plan(MODEL, PruneSpec(tile=8)), tmp_path)
    assert spec.for_pattern("bcbp") == spec and not spec.for_pattern("column").masks
    assert spec.masks in CompareRequest(spec=spec).title
    for wrong in ({"methods": ("dense", "column")}, {"ratios": (0.3, 0.5)}):
        with pytest.raises(SpecError, match="Expected"):
            CompareRequest(spec=spec, **wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("change", [{"ratio": 0.9}, {"tile": 16}, {"pattern": "column"}, {"seed": 1}])
def test_a_spec_that_says_otherwise_than_its_file_is_refused(change: dict[str, Any], tmp_path: Path) -> None:
    spec = brought(make_plan(MODEL, PruneSpec(tile=8)), tmp_path)
    with pytest.raises(SpecError, match=f"{next(iter(change))} .*; got {next(iter(change.values()))}"):
        make_plan(MODEL, replace(spec, **change))


def test_masks_that_are_not_here_are_asked_for_again() -> None:
    with pytest.raises(ModelError, match=r"not on this machine. Drop the file on Tune again, or"):
        make_plan(MODEL, PruneSpec(tile=8, masks="masks-0123456789ab"))


@pytest.mark.parametrize("masks", ["../models/x-0123456789ab", "x" * 300, "masks"])
def test_masks_that_are_no_id_are_refused_wherever_they_come_from(masks: str) -> None:
    with pytest.raises(SpecError, match="Expected masks as the id of a stored file"):
        PruneSpec.from_json({"masks": masks})
    with pytest.raises(ModelError, match="not on this machine"):
        MaskStore().read(masks)


Tensors = dict[str, torch.Tensor]
Damage = Callable[[Tensors, dict[str, Any]], None]


def of(layer: str, part: str, change: Callable[[torch.Tensor], torch.Tensor]) -> Damage:
    def damage(tensors: Tensors, plan: dict[str, Any]) -> None:
        tensors[f"{layer}.{part}"] = change(tensors[f"{layer}.{part}"])

    return damage


def renamed(tensors: Tensors, plan: dict[str, Any]) -> None:
    plan["layers"][0]["name"] = "nowhere"


def reshaped(tensors: Tensors, plan: dict[str, Any]) -> None:
    plan["layers"][0]["shape"][1] += 1


DAMAGES: dict[str, tuple[Damage, str]] = {
    "another layer": (renamed, "layers of sample that can be pruned; got 'nowhere'"),
    "another shape": (reshaped, "a mask of"),
    "fewer columns": (of(LAYER.name, "keep", lambda keep: keep[:, 1:]), f"keep of {LAYER.name} as"),
    "no booleans": (of(LAYER.name, "keep", lambda keep: keep.int()), "torch.bool; got"),
    "fewer filters": (of(LAYER.name, "rows", lambda rows: rows[1:]), f"rows of {LAYER.name} as"),
    "no order": (of(LAYER.name, "order", torch.zeros_like), "that makes sense"),
    "a tensor too few": (lambda tensors, _: tensors.pop(f"{LAYER.name}.rows"), f"rows of {LAYER.name}"),  # type: ignore[dict-item]
    "a tensor too many": (lambda tensors, _: tensors.update(x=torch.ones(1)), "and nothing else"),
    "a layer twice": (
        lambda _, plan: plan["layers"].append(plan["layers"][0]),
        "each of its layers once",
    ),
    "many levels": (
        lambda _, plan: plan["notes"].append(json.loads("[" * 950 + "]" * 950)),
        "at most 64 levels",
    ),
    "a link": (lambda _, plan: plan["notes"].append("[x](http://y)"), "without links"),
    "words for a number": (lambda _, plan: plan["layers"][0].update(target="half"), "target as a number"),
    "an unknown setting": (lambda _, plan: plan["spec"].update(magic=1), "no field 'magic'"),
    "no tile": (lambda _, plan: plan["layers"][0]["mask"].update(tile=0), "keep of"),
}


@pytest.mark.parametrize("case", DAMAGES)
def test_a_file_that_was_tampered_with_is_refused_in_a_sentence(case: str, tmp_path: Path) -> None:
    damage, sentence = DAMAGES[case]
    path = written(make_plan(MODEL, PruneSpec(tile=8)), tmp_path)
    tensors = load_file(path)
    with safe_open(str(path), framework="pt") as file:
        header = dict(file.metadata())
    plan = json.loads(header["plan"])
    damage(tensors, plan)
    save_file(
        {name: value.contiguous() for name, value in tensors.items()},
        path,
        header | {"plan": json.dumps(plan)},
    )
    with pytest.raises(ModelError, match=r"damaged: expected .*Export the masks again") as refused:
        read_masks(path, MODEL)
    assert sentence in str(refused.value)


def test_names_that_are_in_no_table_are_refused(tmp_path: Path) -> None:
    plan = make_plan(MODEL, PruneSpec(tile=8))
    path = written(replace(plan, spec=replace(plan.spec, criterion="magic")), tmp_path)
    with pytest.raises(SpecError, match="Expected as criterion one of"):
        read_masks(path, MODEL)


def test_tiles_across_groups_are_refused(tmp_path: Path) -> None:
    module = nn.Sequential(nn.Conv2d(3, 32, 3), nn.Conv2d(32, 32, 3, groups=2))
    model = adopt(module, name="grouped", input_shape=(3, 8, 8))
    plan = make_plan(model, PruneSpec(tile=8))
    layer = next(one for one in plan if model.layer(one.name).geometry.groups > 1)
    order = torch.arange(layer.shape[0]).view(2, -1).T.flatten()
    odd = replace(layer, mask=replace(layer.mask, order=order))
    plan = replace(plan, layers=tuple(odd if one is layer else one for one in plan))
    path = tmp_path / "masks.safetensors"
    write_masks(plan, path, Pruned(model, plan, apply_plan(model, plan), "none").metadata())
    with pytest.raises(ModelError, match=r"within its . groups"):
        read_masks(path, model)


def test_masks_and_weights_each_have_their_place(tmp_path: Path) -> None:
    path = written(make_plan(MODEL, PruneSpec(tile=8)), tmp_path)
    with pytest.raises(ModelError, match=r"got a file of masks. Drop it on Tune"):
        UploadStore().take_in(path)
    weights = tmp_path / "weights.safetensors"
    save_file({"weight": torch.zeros(2)}, weights)
    with pytest.raises(ModelError, match=r"Expected a file of masks.*got safetensors"):
        MaskStore().take_in(weights)
    assert MaskStore().list() == UploadStore().list() == ()


def test_a_header_that_is_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(make_plan(MODEL, PruneSpec(tile=8)), tmp_path)
    monkeypatch.setattr(headers, "HEADER_BYTES", 100)
    with pytest.raises(ModelError, match="Expected a header of at most"):
        headers.metadata_of(path)
    assert headers.metadata_of(Path(__file__)) == {}


def test_commands_take_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = load_model("sample")
    plan = make_plan(model, PruneSpec(pattern="column", ratio=0.6))
    path = tmp_path / "masks.safetensors"
    write_masks(plan, path, Pruned(model, plan, model.module, "none").metadata())
    command = ["plan", "--masks", str(path)]
    assert cli.main([*command, "--json", str(tmp_path / "plan.json")]) == 0
    found = PruningPlan.from_json(json.loads((tmp_path / "plan.json").read_text()))
    assert same_masks(found, plan) and found.spec.pattern == "column" and found.spec.ratio == 0.6
    assert "masks from a file" in capsys.readouterr().out
    assert cli.main([*command, "--ratio", "0.3"]) == 2
    assert "ratio 0.6; got 0.3. Leave it out." in capsys.readouterr().err
    assert cli.main([*command, "--model", "cifar-resnet20"]) == 2
    assert "Load that model." in capsys.readouterr().err
