"""The command line: what is printed and written, exit codes, and one-line errors."""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from bcbp.cli import COMMANDS, bench, compare, device, main, make_parser, plan
from bcbp.cli.command import layer_ratio, numbers, shares
from bcbp.cli.console import Console, Interrupt
from bcbp.cli.table import table
from bcbp.crossover import DECLINED, LOSES, WINS
from bcbp.errors import DataError
from bcbp.intake.model import adopt
from bcbp.passport_store import PassportStore
from bcbp.plan import PruningPlan
from bcbp.predictions import read_predictions
from bcbp.progress import Progress
from bcbp.request import CompareRequest
from kernels.cpu import engine as cpu_engine
from kernels.device import environment
from tests.bcbp.passports import model_passport
from tests.bcbp.small import use_small_model

UNFINISHED = {"latency": {}, "rows": [], "finished": False}
ROOT = Path(__file__).resolve().parents[2]


def refusal(capsys, *arguments: str) -> tuple[int, str]:
    """Exit code and message of a command line that is refused: one line, without a traceback."""
    try:
        code = main(arguments)
    except SystemExit as ended:
        code = int(ended.code or 0)
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("error: ") and err.count("\n") == 1
    return code, err


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("compare --model resnet19", "resnet19"),
        ("compare --methods dense,magic", "magic"),
        ("compare --methods ,", "none"),
        ("compare --ratio 1", "[0, 1)"),
        ("compare --ratio -0.1", "[0, 1)"),
        ("compare --ratio half", "half"),
        ("compare --ratio ,", "at least one ratio"),
        ("compare --ratio 0.3,1", "[0, 1)"),
        ("compare --ratio 0.3,0.5 --allocation explicit", "one ratio"),
        ("compare --max-loss 101", "from 0 to 100"),
        ("compare --predictions no/such/folder/p.npz", "no/such/folder"),
        ("compare --tile 33", "33"),
        ("compare --batch 1,zero", "zero"),
        ("compare --batch 0", "batch"),
        ("compare --criterion l3", "l3"),
        ("compare --layer-ratio conv1", "LAYER=RATIO"),
        ("compare --json /nowhere/at/all.json", "/nowhere/at"),
        ("compare --json .", "folder"),
        ("plan --json .", "folder"),
        ("compare --exclude nothing.here", "nothing.here"),
        ("compare --colour blue", "--colour"),
        ("plan --method magic", "magic"),
        ("plan --method dense", "dense"),
        ("plan --exclude nothing.here", "nothing.here"),
        ("plan --layer-ratio conv1=2", "[0, 1)"),
        ("models --model resnet19", "resnet19"),
        ("bench everything", "everything"),
        ("bench layers --model lenet", "lenet"),
        ("bench layers --rounds 0", "rounds"),
        ("bench layers --batch 0", "batch"),
        ("bench layers --batch ,", "batch"),
        ("bench layers --ratio ,", "ratio"),
        ("bench layers --threads 0", "threads"),
        ("bench planning --rounds 0", "rounds"),
        ("bench planning --model lenet", "lenet"),
        ("bench networks --ratio 1.5", "[0, 1)"),
        ("bench networks --tile 33", "33"),
        ("bench networks --precision fp16", "Expected fp32 on device cpu"),
        ("device --model lenet", "lenet"),
        ("device --device tpu", "tpu"),
        ("device --ratio 1", "in [0, 1)"),
        ("device --measure --import x.json", "got both"),
        ("device --import /nowhere.json", "nowhere"),
        ("train-sample --model resnet18", "resnet18"),
        ("train-sample --epochs 0", "epoch"),
        ("train-sample --out .", "--out"),
        ("paint", "paint"),
        ("", "COMMAND"),
    ],
)
def test_bad_input_is_refused_in_one_line_with_code_2(capsys, line: str, words: str):
    code, message = refusal(capsys, *line.split())
    assert code == 2 and words in message


def test_a_file_that_cannot_be_written_is_refused_before_the_work(capsys, monkeypatch, tmp_path: Path):
    monkeypatch.setattr(os, "access", lambda _path, _mode: False)
    code, message = refusal(capsys, "compare", "--json", str(tmp_path / "out.json"))
    assert code == 2 and "written" in message


@pytest.mark.parametrize("line", ["plan --method block", "compare --methods dense,filter,block"])
def test_a_tile_that_fits_no_layer_is_refused(capsys, monkeypatch, line: str):
    net = torch.nn.Sequential(*(torch.nn.Conv2d(16, 16, 3, padding=1, groups=2) for _ in range(2)))
    model = adopt(
        net, name="sample", title="Grouped", input_shape=(16, 8, 8), dataset=None, trained=False, note=""
    )
    for command in (plan, compare):
        monkeypatch.setattr(command, "load_model", lambda _name: model)
    code, message = refusal(capsys, *line.split(), "--tile", "16")
    assert code == 2 and "for block; got 16" in message and "divides 8" in message
    assert main(["plan", "--tile", "8"]) == 0


def test_layers_are_not_timed_on_a_cpu_without_wide_vectors(capsys, monkeypatch):
    monkeypatch.setattr(cpu_engine, "_host", lambda: "this CPU (abacus) has none")
    code, message = refusal(capsys, "bench", "layers")
    assert code == 2 and "abacus" in message


def test_missing_data_has_a_code_of_its_own(capsys, monkeypatch):
    def missing(*_args, **_options) -> None:
        raise DataError("Expected images;\nfound none.")

    monkeypatch.setattr(compare, "compare", missing)
    assert refusal(capsys, "compare") == (3, "error: Expected images; found none.\n")


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_help_explains_each_command_with_an_example_that_parses(capsys, command):
    with pytest.raises(SystemExit) as ended:
        main([command.name, "--help"])
    shown = capsys.readouterr().out
    assert ended.value.code == 0 and command.example in shown
    words = command.example.split()
    assert words[:3] == ["python", "-m", "bcbp"]
    assert make_parser().parse_args(words[3:]).run is command.run


def test_compare_prints_a_table_and_writes_the_report(capsys, monkeypatch, tmp_path: Path):
    use_small_model(monkeypatch)
    line = "compare --methods dense,bcbp --tile 16 --batch 1 --rounds 5 --threads 1 --json"
    assert main([*line.split(), str(tmp_path / "out.json")]) == 0
    out, err = capsys.readouterr()
    report = json.loads((tmp_path / "out.json").read_text())
    assert report["schema"] == 1 and report["finished"]
    assert [row["method"] for row in report["rows"]] == ["dense", "bcbp"]
    assert "Latency at batch 1" in out and "yardstick" in out and "dense candidates" in out
    assert "Latency at batch 1" in err  # progress


def test_several_ratios_are_compared_at_equal_accuracy_and_every_answer_is_kept(
    capsys, monkeypatch, tmp_path: Path
):
    use_small_model(monkeypatch)
    line = (
        "compare --methods bcbp --ratio 0.3,0.7 --tile 16 --batch 1 --rounds 5 --threads 1 --recovery none "
        "--max-loss 100 --layer-ratio conv1=0.2 --predictions"
    )
    assert main([*line.split(), str(tmp_path / "answers.npz")]) == 0
    out = capsys.readouterr().out
    assert "keep it at every ratio: conv1 (0.2)." in out
    assert "within 100 points at batch 1" in out and "Answers changed against dense" in out
    assert list(read_predictions(tmp_path / "answers.npz").answers) == ["dense", "bcbp 0.3", "bcbp 0.7"]


def test_one_ratio_of_the_command_line_is_that_of_the_spec():
    request = compare.request_of(make_parser().parse_args(["compare", "--ratio", "0.7"]))
    assert (request.ratios, request.spec.ratio) == ((), 0.7)


def test_words_of_the_command_line_become_the_request():
    line = (
        "compare --model resnet18 --methods bcbp,filter --tile 64 --ratio 0.7 --criterion l1 "
        "--allocation global --recovery none --layer-ratio layer1.0.conv1=0.2 "
        "--exclude layer1.0.conv2 --k-step 16 --permute --seed 3 "
        "--batch 1,8 --images 100 --rounds 9 --threads 1 --data here"
    )
    request = compare.request_of(make_parser().parse_args(line.split()))
    expected = {
        "model": "resnet18",
        "methods": ["bcbp", "filter"],
        "batches": [1, 8],
        "threads": 1,
        "images": 100,
        "data": "here",
        "rounds": 9,
    }
    found = request.to_json()
    assert {name: found[name] for name in expected} == expected
    assert found["spec"] == request.spec.to_json() | {
        "tile": 64,
        "ratio": 0.7,
        "criterion": "l1",
        "allocation": "global",
        "recovery": "none",
        "ratios": {"layer1.0.conv1": 0.2},
        "exclude": ["layer1.0.conv2"],
        "k_step": 16,
        "permute": True,
        "seed": 3,
    }


def test_the_defaults_of_the_command_line_are_those_of_a_request():
    assert compare.request_of(make_parser().parse_args(["compare"])) == CompareRequest()


def test_the_batch_size_of_a_latency_target_is_timed_too() -> None:
    line = "compare --allocation latency --budget-ms 2 --budget-batch 8 --batch 32,1"
    assert compare.request_of(make_parser().parse_args(line.split())).batches == (1, 8, 32)
    line = line.replace("32,1", "8,1")
    assert compare.request_of(make_parser().parse_args(line.split())).batches == (8, 1)


def test_an_interrupted_comparison_writes_what_it_has(capsys, monkeypatch, tmp_path: Path):
    """A real Ctrl-C, sent to this process as soon as there are rows."""
    use_small_model(monkeypatch)
    sent = []

    def interrupt_once(self: Console, progress: Progress) -> None:
        if progress.stage.startswith("Dense") and not sent:
            sent.append(os.kill(os.getpid(), signal.SIGINT))

    monkeypatch.setattr(Console, "show", interrupt_once)
    assert main(["compare", "--tile", "16", "--json", str(tmp_path / "out.json")]) == 130
    report = json.loads((tmp_path / "out.json").read_text())
    assert not report["finished"] and len(report["rows"]) == 5
    out, err = capsys.readouterr()
    assert "Not finished" in out and "stopping" in err


def test_plan_prints_every_layer_and_writes_a_plan_that_reads_back(capsys, tmp_path: Path):
    path = tmp_path / "plan.json"
    assert main(["plan", "--ratio", "0.5", "--tile", "32", "--json", str(path)]) == 0
    plan = PruningPlan.from_json(json.loads(path.read_text()))
    out = capsys.readouterr().out
    assert plan.sparsity == pytest.approx(0.5, abs=0.01)
    assert all(layer.name in out for layer in plan) and "dense: conv1" in out


def test_plan_shows_what_a_permutation_keeps(capsys):
    assert main(["plan", "--ratio", "0.7", "--permute"]) == 0
    out = capsys.readouterr().out
    before, after = re.search(r"importance kept: (\S+)% .*, (\S+)% permuted", out).groups()
    assert float(after) > float(before)
    assert "importance kept" in out.splitlines()[0]


def test_models_lists_all_and_explains_one(capsys, tmp_path: Path):
    path = tmp_path / "models.json"
    assert main(["models", "--model", "mobilenet_v2", "--json", str(path)]) == 0
    out = capsys.readouterr().out
    assert "depth-wise" in out and "features.1.conv.0.0" in out
    assert json.loads(path.read_text())["models"][0]["name"] == "mobilenet_v2"


def test_bench_planning_writes_rows_with_their_conditions(capsys, tmp_path: Path):
    path = tmp_path / "bench.json"
    assert main(["bench", "planning", "--model", "sample", "--rounds", "5", "--json", str(path)]) == 0
    record = json.loads(path.read_text())
    assert record["kind"] == "planning" and record["environment"]["cpu"] and record["rows"]
    assert "median ms" in capsys.readouterr().out


def test_a_benchmark_stopped_while_it_waits_measures_nothing(capsys, monkeypatch):
    monkeypatch.setattr(Interrupt, "asked", lambda _self: True)
    for what in bench.BENCHMARKS:
        monkeypatch.setitem(bench.BENCHMARKS, what, None)  # calling it would raise
        assert main(["bench", what]) == 130
        assert capsys.readouterr().err == "stopped\n"


def test_bench_networks_gives_a_report_per_ratio(capsys, monkeypatch, tmp_path: Path):
    use_small_model(monkeypatch)
    path = tmp_path / "bench.json"
    line = "bench networks --model sample --tile 16 --ratio 0.5,0.75 --batch 1 --rounds 5 --threads 1 --json"
    assert main([*line.split(), str(path)]) == 0
    rows = json.loads(path.read_text())["rows"]
    assert [report["request"]["spec"]["ratio"] for report in rows] == [0.5, 0.75]
    assert capsys.readouterr().out.count("Latency at batch 1") == 2


def test_bench_networks_goes_on_where_its_file_ends(capsys, monkeypatch, tmp_path: Path):
    use_small_model(monkeypatch)
    path = tmp_path / "bench.json"
    line = "bench networks --model sample --tile 16 --batch 1 --rounds 5 --threads 1 --ratio"
    command = [*line.split(), "0.5,0.75,0.9", "--json", str(path)]
    assert main([*command, "--part", "1/2"]) == 0  # the first and the third
    capsys.readouterr()
    assert main([*command, "--limit-seconds", "0"]) == 0
    said = capsys.readouterr().err
    assert "2 reports kept" in said and "1 are left" in said
    monkeypatch.setattr(bench, "compare", lambda request, **_: {"request": request.to_json()} | UNFINISHED)
    assert main(command) == 0
    rows = json.loads(path.read_text())["rows"]
    assert [report["request"]["spec"]["ratio"] for report in rows] == [0.5, 0.9, 0.75]


def test_device_shows_this_machine_and_how_to_measure_it(capsys):
    assert main(["device"]) == 0
    out = capsys.readouterr().out
    assert "cpu-tiles" in out and "add --measure" in out
    assert main(["device", "--json", "passport.json"]) == 2
    assert "Add --measure" in capsys.readouterr().err


def test_a_measured_passport_is_shown_written_and_read_by_another_machine(capsys, monkeypatch, tmp_path):
    def measure(request, *, root, on_event, should_stop) -> None:
        made = model_passport({0.5: LOSES, 0.75: WINS}, tile=request.tile, odd_one=DECLINED)
        PassportStore(root).write_live(replace(made, environment=environment()))

    monkeypatch.setattr(device, "measure_device", measure)
    path = tmp_path / "passport.json"
    assert main(["device", "--measure", "--json", str(path)]) == 0
    out = capsys.readouterr().out
    assert "batch 1" in out and "0.75" in out and "cannot run: no wide vectors" in out
    monkeypatch.setenv("BCBP_HOME", str(tmp_path / "elsewhere"))
    assert main(["device", "--import", str(path)]) == 0
    out = capsys.readouterr().out
    assert "Imported" in out and "0.75" in out
    store = PassportStore(tmp_path / "elsewhere", recorded=tmp_path / "nothing recorded")
    (stored,) = store.others(environment())
    assert stored.origin == "imported"


def test_an_interrupted_measurement_shows_what_it_has(capsys, monkeypatch):
    monkeypatch.setattr(device, "measure_device", lambda *_args, **_options: None)
    monkeypatch.setattr(Interrupt, "asked", lambda _self: True)
    assert main(["device", "--measure"]) == 130
    assert "Nothing is measured" in capsys.readouterr().out


def test_a_file_that_is_no_passport_is_refused(capsys, tmp_path: Path):
    (tmp_path / "x.json").write_text("{}")
    code, message = refusal(capsys, "device", "--import", str(tmp_path / "x.json"))
    assert code == 2 and "another kind" in message


def test_every_benchmark_is_explained():
    assert [line.split(":")[0] for line in bench._HELP] == list(bench.BENCHMARKS)


def test_python_dash_m_starts_the_same_program():
    command = [sys.executable, "-m", "bcbp", "plan", "--ratio", "1.2"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 2 and done.stderr.startswith("error: ") and done.stderr.count("\n") == 1


def test_lists_of_arguments_are_read_or_refused():
    assert numbers("1, 32") == (1, 32) and shares("0.5,.75") == (0.5, 0.75)
    assert layer_ratio("a.b=0.25") == ("a.b", 0.25)
    for read, text in ((numbers, "1.5"), (shares, "a"), (layer_ratio, "a="), (layer_ratio, "=1")):
        with pytest.raises(argparse.ArgumentTypeError):
            read(text)


def test_a_table_without_rows_is_its_header():
    assert table(["a", "b"], []) == "a  b"


class Terminal:
    """A stream that says it is a terminal, or not, and keeps what it is given."""

    def __init__(self, live: bool) -> None:
        self.live, self.text = live, ""

    def isatty(self) -> bool:
        return self.live

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def flush(self) -> None: ...


def test_a_terminal_gets_one_line_redrawn_and_a_file_one_line_per_step():
    for live, lines in ((True, 0), (False, 2)):
        stream = Terminal(live)
        console = Console(stream)
        for share, stage in ((0.1, "one"), (0.2, "one"), (0.5, "two")):
            console.show(Progress(share, stage, "working", 12.0))
        assert stream.text.count("\n") == lines
        assert ("12 s left" in stream.text) == live


def test_the_second_interrupt_raises_and_the_former_handler_comes_back():
    before = signal.getsignal(signal.SIGINT)
    with Interrupt(Console(Terminal(False))) as interrupt:
        os.kill(os.getpid(), signal.SIGINT)
        assert interrupt.asked()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before
