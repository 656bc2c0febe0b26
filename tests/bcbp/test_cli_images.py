"""The command line with a zip of one's own images: tested, said, refused, and made again from the recipe."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from safetensors.torch import load_file

from bcbp.cli import main
from bcbp.gathering import find_scan
from bcbp.home import default_root
from bcbp.image_folder import with_image_folder
from bcbp.intake.architectures import load_model
from bcbp.picture_store import place_of
from bcbp.sensitivity import ScanStore
from bcbp.spec import PruneSpec
from tests.bcbp.intake.picture_zips import folders, zipped

TEN = tuple(f"class {label}" for label in range(10))
PLAN = ["--tile", "32", "--ratio", "0.5", "--recovery", "batchnorm"]


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    path = tmp_path / "mine.zip"
    path.write_bytes(zipped(folders(each=8, top="mine/", classes=TEN)))
    return path


def test_compare_tests_on_the_zip_and_says_how_it_was_prepared(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["compare", "--methods", "dense,bcbp", "--batch", "", "--data", str(pictures), *PLAN]
    assert main([*line, "--resize", "32", "--json", str(tmp_path / "out.json")]) == 0
    report = json.loads((tmp_path / "out.json").read_text())
    assert report["request"]["data"].startswith("images:mine-")
    assert report["request"]["adjustment"] == {"resize": 32}
    assert [row["accuracy"]["total"] for row in report["rows"]] == [40, 40]
    assert report["model"]["preprocessing"]["resize"] == 32 and report["model"]["images_digest"]
    said = capsys.readouterr().out
    assert "images: mine-" in said and "shorter side resized to 32, centre 28 × 28" in said
    assert "resize as asked, else as the images of Fashion-MNIST are" in said


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        (["--resize", "3"], "Expected to resize to at least 28 pixels"),
        (["--mean", "0.5,0.5,0.5"], "Expected a mean and a deviation for each of 1 channels; got 3 and 1"),
    ],
)
def test_what_does_not_fit_the_network_is_refused(
    asked: list[str], sentence: str, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plan", "--data", str(pictures), *asked]) != 0
    assert sentence in capsys.readouterr().err


@pytest.mark.parametrize("command", ["compare", "plan", "finetune", "study", "sensitivity"])
def test_a_bad_zip_ends_every_command_with_its_sentence(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.zip").write_bytes(zipped({"../cat/1.png": b"x"}))
    with pytest.raises(SystemExit) as ended:
        main([command, "--data", str(tmp_path / "bad.zip")])
    assert ended.value.code == 2
    assert "'../cat/1.png' leads out of it" in capsys.readouterr().err


def test_adjusting_nothing_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "--resize", "32"]) != 0
    assert "Expected a folder or a zip of pictures with --resize" in capsys.readouterr().err


def test_the_recipe_finds_the_same_images_and_makes_the_same_network(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    line = ["export", "--forms", "weights,recipe", "--out", str(out), "--data", str(pictures), *PLAN]
    assert main([*line, "--resize", "30"]) == 0
    images = json.loads((out / "recipe.json").read_text())["images"]
    assert images["data"].startswith("images:mine-") and images["adjustment"] == {"resize": 30}
    made = load_file(out / "weights.safetensors")
    monkeypatch.chdir(tmp_path)
    script = (out / "recipe.py").read_text()
    exec(compile(script, "recipe.py", "exec"), {})
    again = load_file(tmp_path / "weights.safetensors")
    assert all(value.equal(again[name]) for name, value in made.items())
    with pytest.raises(SystemExit, match="Expected the images and the preprocessing of then"):
        exec(compile(script.replace("resize=30", "resize=40"), "recipe.py", "exec"), {})


def test_sensitivity_takes_pictures_and_keeps_their_scan_apart(pictures: Path, tmp_path: Path) -> None:
    line = ["sensitivity", "--ratio", "0.5", "--images", "20", "--json", str(tmp_path / "scan.json")]
    assert main([*line, "--data", str(pictures)]) == 0
    scan = json.loads((tmp_path / "scan.json").read_text())
    assert scan["rows"] and scan["key"]["source"]
    spec = PruneSpec()
    own = with_image_folder(load_model("sample"), place_of(pictures))
    assert find_scan(own, spec, ScanStore(default_root())) is not None
    assert find_scan(load_model("sample"), spec, ScanStore(default_root())) is None
