"""`bcbp tune`: what it asks of the tuner, what it shows, and why it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from bcbp import tuning
from bcbp.cli import main, tune
from bcbp.intake.architectures import load_model
from bcbp.planning import make_plan
from bcbp.spec import PruneSpec
from kernels.gpu import tuning as gpu_tuning
from kernels.gpu.answers import Answer, Answers, Timed
from kernels.gpu.choice import Choice
from kernels.gpu.launch import LaunchConfig
from kernels.measure import Stopped
from kernels.precision import FP16

ANSWER = Answer(
    "3x3 64-64 | fp16", (Timed("gathered", LaunchConfig(64, 64, 128, 64), 0.5, 0.4, 0.6),), "2026-11-25"
)


def fake_choose(layer, maps, *, again=False) -> Choice:
    return Choice(lambda: None, "gathered", None, "again" if again else "once")


@pytest.fixture
def a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command's own work, with nothing launched: a chooser that is given binds layers on the CPU."""
    monkeypatch.setattr(tune, "check_device", lambda name: None)
    monkeypatch.setattr(tune, "GPU", "cpu")
    monkeypatch.setattr(tuning, "choose", fake_choose)
    monkeypatch.setattr(
        gpu_tuning, "this_tuner", lambda: SimpleNamespace(answers=Answers("nvidia-h200-sm90-triton3.8.0"))
    )


def test_it_refuses_without_a_gpu(capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert main(["tune"]) == 2
    error = capsys.readouterr().err
    assert error == "error: Expected a machine that can measure on cuda; torch sees no NVIDIA GPU.\n"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--ratio ,", "at least one ratio"),
        ("--batch 0", "a batch"),
        ("--ratio 1", "[0, 1)"),
        ("--tile 33", "33"),
        ("--model lenet", "lenet"),
        ("--json missing/card.json", "folder that exists"),
        ("--list --json .", "is a folder"),
    ],
)
def test_what_cannot_be_tuned_is_refused_before_a_gpu_is_looked_for(options: str, words: str, capsys) -> None:
    assert main(["tune", *options.split()]) == 2
    assert words in capsys.readouterr().err


def test_every_layer_of_every_ratio_and_batch_is_tuned(a_gpu: None, capsys) -> None:
    line = "tune --model cifar-resnet20 --tile 16 --ratio 0.5,0.75 --batch 1,8"
    assert main(line.split()) == 0
    output = capsys.readouterr().out
    layers = [
        name for name, module in load_model("cifar-resnet20").module.named_modules() if weighted(module)
    ]
    for name in layers:
        assert output.count(f"\n{name} ") == 4, name
    assert "once" in output and "again" not in output
    assert main([*line.split(), "--again"]) == 0
    assert "again" in capsys.readouterr().out


def weighted(module: torch.nn.Module) -> bool:
    return isinstance(module, torch.nn.Conv2d | torch.nn.Linear)


def test_the_card_s_answers_are_written_as_a_table_that_can_be_shipped(a_gpu: None, tmp_path: Path) -> None:
    answers = Answers("nvidia-h200-sm90-triton3.8.0")
    answers.remember(ANSWER)
    line = ["tune", "--model", "cifar-resnet20", "--tile", "16", "--batch", "8", "--json"]
    assert main([*line, str(tmp_path)]) == 0  # a folder: the name they are looked for under is theirs
    path = tmp_path / f"{answers.key}.json"
    named = tmp_path / "mine.json"
    assert main([*line, str(named)]) == 0 and named.read_text() == path.read_text()
    shipped = Answers(answers.key, folder=tmp_path / "other", tables=tmp_path)
    found, _ = shipped.find(ANSWER.problem)
    assert found is not None and found.timed == ANSWER.timed and found.where != ANSWER.where


def test_a_stop_is_obeyed_before_the_next_layer() -> None:
    model, done = load_model("cifar-resnet20"), list[str]()
    plan = make_plan(model, PruneSpec(tile=16))
    with pytest.raises(Stopped):
        tuning.tune_network(
            model,
            plan,
            images=8,
            precision=FP16,
            device=torch.device("cpu"),
            on_layer=lambda number, count, name: done.append(name),
            should_stop=lambda: True,
        )
    assert done == []


def test_an_interrupted_run_shows_the_batches_before_it(a_gpu: None, capsys, monkeypatch) -> None:
    calls: list[int] = []
    whole = tuning.tune_network

    def second_stops(*args, images: int, **options):
        calls.append(images)
        if len(calls) > 1:
            raise Stopped
        return whole(*args, images=images, **options)

    monkeypatch.setattr(tuning, "tune_network", second_stops)
    main(["tune", "--model", "cifar-resnet20", "--tile", "16", "--batch", "8,16"])
    captured = capsys.readouterr()
    assert calls == [8, 16] and "gathered" in captured.out
    assert "what was measured is remembered" in captured.err


def test_the_list_shows_what_is_remembered_of_every_card(capsys, tmp_path: Path) -> None:
    assert main(["tune", "--list"]) == 0
    assert capsys.readouterr().out == "nothing is remembered yet\n"
    Answers("nvidia-h200-sm90-triton3.8.0").remember(ANSWER)
    path = tmp_path / "all.json"
    assert main(["tune", "--list", "--json", str(path)]) == 0
    output = capsys.readouterr().out
    assert output.startswith("nvidia-h200-sm90-triton3.8.0\n")
    assert "3x3 64-64 | fp16" in output and "gathered, width 64" in output and "0.5000" in output
    (table,) = json.loads(path.read_text())["tables"]
    assert table["card"] == "nvidia-h200-sm90-triton3.8.0" and len(table["answers"]) == 1
