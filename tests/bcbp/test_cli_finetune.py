"""`finetune` alone and in a team: the same masks, an equal result, one voice."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

from tests.bcbp.finetune_team import UNTRAINED, run
from tests.bcbp.test_image_folder import model_of, write_folder

ROOT = Path(__file__).resolve().parents[2]
LINE = ["--tile", "8", "--ratio", "0.6", "--epochs", "3", "--tune-batch", "32", "--rate", "0.05"]
LINE += ["--tune-precision", "fp32", "--threads", "1"]


def zeros(folder: Path) -> dict[str, object]:
    (path,) = folder.glob("*.safetensors")
    return {name: (value == 0).tolist() for name, value in load_file(path).items() if value.ndim == 4}


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a fine-tuning by one process."""
    folder = tmp_path_factory.mktemp("alone")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BCBP_HOME", str(folder / "home"))
        assert run([*LINE, "--checkpoint", str(folder / "kept"), "--json", str(folder / "out.json")]) == 0
    return folder


def rung(folder: Path) -> dict:
    report = json.loads((folder / "out.json").read_text())
    return report["rows"][1]["ladder"][-1]


def test_the_report_has_every_rung_the_curve_and_what_it_was_trained_with(alone: Path) -> None:
    report = json.loads((alone / "out.json").read_text())
    row = report["rows"][1]
    assert [entry["name"] for entry in row["ladder"]] == ["none", "batchnorm", "refit", "finetune"]
    assert [epoch["number"] for epoch in row["curve"]] == [1, 2, 3]
    assert row["recovery"]["name"] == "finetune" and row["accuracy"] == row["ladder"][-1]["accuracy"]
    assert report["tuning"] == {
        "images": 128, "part": "train", "precision": "fp32, as asked for", "device": "cpu", "processes": 1,
    }  # fmt: skip
    assert rung(alone)["against_below"]["verdict"] == "better"
    assert rung(alone)["accuracy"]["correct"] > 180


def test_the_same_command_goes_on_from_its_checkpoint(
    alone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = {path.name: path.stat().st_mtime_ns for path in (alone / "kept").iterdir()}
    assert run([*LINE, "--checkpoint", str(alone / "kept")]) == 0
    assert {path.name: path.stat().st_mtime_ns for path in (alone / "kept").iterdir()} == kept
    shown = capsys.readouterr().out
    assert "Fine-tuning: 3 epochs of 128 images, sgd, cosine" in shown
    assert f"best weights of fine-tuning: {alone / 'kept'}" in shown


def together(*line: str) -> subprocess.CompletedProcess[str]:
    """The command with two processes. The limit is for a team that waits for itself."""
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    return subprocess.run(
        [sys.executable, *launch, "-m", "tests.bcbp.finetune_team", *line],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )


def test_two_processes_give_the_same_masks_and_an_equal_result_with_one_voice(
    alone: Path, tmp_path: Path
) -> None:
    places = ["--checkpoint", str(tmp_path / "kept"), "--json", str(tmp_path / "out.json")]
    done = together(*LINE, *places)
    assert done.returncode == 0, done.stderr
    assert zeros(tmp_path / "kept") == zeros(alone / "kept")
    assert done.stdout.count("Recovery, rung by rung") == 1 and "2 process(es) on cpu" in done.stdout
    (low, high), other = rung(alone)["accuracy"]["interval"], rung(tmp_path)["accuracy"]["interval"]
    assert low <= other[1] and other[0] <= high


def test_a_model_without_images_ends_every_process_in_good_order() -> None:
    done = together("--model", UNTRAINED, "--tile", "8", "--epochs", "1")
    assert done.returncode == 0, done.stderr
    assert "no accuracy for" in done.stdout and "Traceback" not in done.stderr


def test_a_batch_that_cannot_be_shared_ends_every_process_with_one_sentence() -> None:
    done = together("--tune-batch", "33", "--tile", "8", "--tune-precision", "fp32")
    assert done.returncode != 0
    assert done.stderr.count("error: Expected a batch that 2 processes can share equally; got 33") == 1


def test_a_model_is_fine_tuned_on_a_folder_of_images(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from bcbp import experiment
    from bcbp.cli import compare, main

    folder, model = write_folder(tmp_path / "made"), model_of()
    for module in (compare, experiment):
        monkeypatch.setattr(module, "load_model", lambda _name: model)
    line = ["finetune", "--data", str(folder), "--tile", "8", "--epochs", "2", "--tune-batch", "16"]
    line += ["--layer-ratio", "0=0.5", "--tune-precision", "fp32", "--threads", "1"]
    assert main([*line, "--checkpoint", str(tmp_path / "kept"), "--json", str(tmp_path / "out.json")]) == 0
    report = json.loads((tmp_path / "out.json").read_text())
    assert report["model"]["dataset"] == "made (3 classes, 0 is n01, 2 is n10, in sorted order)"
    assert report["tuning"]["images"] == 54 and report["rows"][1]["accuracy"]["total"] == 18
    assert "Classes in the sorted order" in report["model"]["note"]
    (tmp_path / "empty").mkdir()
    assert main([*line[:2], str(tmp_path / "empty"), *line[3:]]) == 3
    assert "Expected folders of images in" in capsys.readouterr().err
