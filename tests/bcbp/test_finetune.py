"""Fine-tuning keeps removed weights at zero, the best epoch on validation, and everything through a kill."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from bcbp.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from bcbp.data import Images
from bcbp.errors import DataError, SpecError
from bcbp.masking import apply_plan, removed_parameters
from bcbp.patterns import PATTERNS
from bcbp.planning import make_plan
from bcbp.recovery import RecoveryTask
from bcbp.recovery.distillation import TuningLoss
from bcbp.recovery.finetune import FINETUNE
from bcbp.recovery.ladder import climb
from bcbp.recovery.precision import choose_precision
from bcbp.recovery.tuning import Epoch, Lessons, Tuning
from bcbp.spec import PruneSpec
from bcbp.team import ALONE, Team
from bcbp.training import OPTIMIZERS, SCHEDULES, Conditions, Training
from kernels.measure import Stopped
from tests.bcbp.small import small_images, small_model

ROOT = Path(__file__).resolve().parents[2]
MODEL = small_model()
TUNING = Tuning(epochs=3, batch=16, rate=0.05, precision="fp32")


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def images(part: str) -> Images:
    return small_images(MODEL.dataset, part)  # type: ignore[arg-type]


def task_of(pattern: str = "bcbp", *, folder: Path | None = None, tuning: Tuning = TUNING) -> RecoveryTask:
    plan = make_plan(MODEL, PruneSpec(pattern=pattern, tile=8, ratio=0.6))
    lessons = Lessons(images("train"), images("validation"), tuning, folder=folder)
    return RecoveryTask(MODEL, plan, apply_plan(MODEL, plan), images("calibration"), lessons)


def weights(module: nn.Module) -> Tensor:
    return torch.cat([value.flatten().float() for value in module.state_dict().values()])


@given(
    pattern=st.sampled_from(sorted(PATTERNS)),
    optimizer=st.sampled_from(sorted(OPTIMIZERS)),
    schedule=st.sampled_from(sorted(SCHEDULES)),
    ratio=st.floats(0.1, 0.9),
    rate=st.floats(1e-4, 1.0),
    decay=st.floats(0, 0.5),
)
def test_a_removed_weight_is_exactly_zero_after_every_step(
    pattern: str, optimizer: str, schedule: str, ratio: float, rate: float, decay: float
) -> None:
    plan = make_plan(MODEL, PruneSpec(pattern=pattern, tile=8, ratio=ratio))
    module = apply_plan(MODEL, plan)
    removed = removed_parameters(module, plan)
    tuning = Tuning(1, 16, rate, optimizer, schedule, decay, precision="fp32")
    training = Training(
        module, images("train").head(48), tuning.recipe, Conditions(removed=removed, bf16=False)
    )
    steps: list[float] = []

    def look(share: float) -> None:
        steps.append(share)
        named = dict(module.named_parameters())
        assert all((named[name][gone] == 0).all() for name, gone in removed.items())

    training.epoch(0, tell=look)
    assert len(steps) == 3
    assert any(gone.any() for gone in removed.values())


def test_what_is_left_is_trained_batch_norms_included() -> None:
    task = task_of()
    before, after = task.start.state_dict(), FINETUNE.apply(task).module.state_dict()
    assert all(not before[name].equal(after[name]) for name in before)


def test_a_removed_filter_stays_silent_through_its_batch_norm() -> None:
    task = task_of("filter")
    gone = removed_parameters(task.start, task.plan)
    assert any(name.endswith("bias") for name in gone)
    tuned = dict(FINETUNE.apply(task).module.named_parameters())
    assert all((tuned[name][where] == 0).all() for name, where in gone.items())


def test_every_pattern_gets_the_same_images_in_the_same_order(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, list[Tensor]] = {}
    step = Training._step
    for pattern in ("bcbp", "filter", "unstructured"):
        taken = seen.setdefault(pattern, [])

        def record(self: Training, inputs: Tensor, labels: Tensor, taken: list[Tensor] = taken) -> Tensor:
            taken.append(inputs.clone())
            return step(self, inputs, labels)

        monkeypatch.setattr(Training, "_step", record)
        FINETUNE.apply(task_of(pattern))
    first, *others = seen.values()
    assert len(first) == 9  # 60 images, batches of 16, three epochs
    assert all(len(other) == 9 and all(map(torch.equal, first, other)) for other in others)


def test_the_best_epoch_on_validation_comes_back_and_the_first_of_equals(tmp_path: Path) -> None:
    curve: list[Epoch] = []
    task = task_of(folder=tmp_path)
    lessons = replace(task.lessons, on_epoch=curve.append)  # type: ignore[type-var]
    tuned = FINETUNE.apply(replace(task, lessons=lessons)).module
    right = [epoch.correct for epoch in curve]
    assert [epoch.number for epoch in curve] == [1, 2, 3]
    assert all(epoch.total == 60 and 0 <= epoch.accuracy <= 1 and epoch.loss > 0 for epoch in curve)
    with torch.no_grad():
        validation = images("validation")
        found = int((tuned(validation.inputs()).argmax(1) == validation.labels).sum())
    assert found == max(right)


def test_a_resumed_fine_tuning_is_the_uninterrupted_one_bit_for_bit_after_a_kill(tmp_path: Path) -> None:
    whole = FINETUNE.apply(task_of(folder=tmp_path / "whole")).module
    script = (
        "import os, signal, sys, torch\n"
        "from dataclasses import replace\n"
        "from pathlib import Path\n"
        "from tests.bcbp.test_finetune import FINETUNE, task_of\n"
        "torch.set_num_threads(1)\n"
        "def tell(share):\n"
        "    if share > 0.5:\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "FINETUNE.apply(replace(task_of(folder=Path(sys.argv[1])), tell=tell))\n"
    )
    part = tmp_path / "part"
    killed = subprocess.run([sys.executable, "-c", script, str(part)], cwd=ROOT, check=False)
    assert killed.returncode == -signal.SIGKILL
    (path,) = part.glob("*.pt")
    saved = load_checkpoint(path)
    assert saved is not None and len(saved["curve"]) == 1
    curve: list[Epoch] = []
    task = task_of(folder=part)
    resumed = FINETUNE.apply(replace(task, lessons=replace(task.lessons, on_epoch=curve.append)))  # type: ignore[type-var]
    assert weights(resumed.module).equal(weights(whole))
    assert [epoch.number for epoch in curve] == [1, 2, 3]
    names = [{entry.name for entry in (tmp_path / run).iterdir()} for run in ("whole", "part")]
    assert names[0] == names[1]
    for state in ("training", "best"):
        one, other = (
            (load_checkpoint(folder / path.name) or {})[state] for folder in (tmp_path / "whole", part)
        )
        torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_a_finished_fine_tuning_is_not_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = FINETUNE.apply(task_of(folder=tmp_path)).module
    monkeypatch.setattr(Training, "epoch", lambda *_args, **_options: pytest.fail("trained again"))
    again = FINETUNE.apply(task_of(folder=tmp_path)).module
    assert weights(first).equal(weights(again))


def test_the_seconds_of_a_fine_tuning_are_those_of_all_its_epochs_whichever_run_spent_them(
    tmp_path: Path,
) -> None:
    def climbed(seen: list[Epoch]) -> float:
        task = task_of(folder=tmp_path)
        lessons = replace(task.lessons, on_epoch=seen.append)  # type: ignore[type-var]
        rungs = climb(replace(task, lessons=lessons), top="finetune", validation=images("validation"))
        return list(rungs)[-1].seconds

    first: list[Epoch] = []
    again: list[Epoch] = []
    climbed(first)
    assert climbed(again) >= sum(epoch.seconds for epoch in first) > 0
    assert again == first


def test_other_settings_never_take_up_or_overwrite_a_checkpoint(tmp_path: Path) -> None:
    FINETUNE.apply(task_of(folder=tmp_path))
    FINETUNE.apply(task_of(folder=tmp_path, tuning=replace(TUNING, epochs=1)))
    assert len(list(tmp_path.glob("*.pt"))) == 2


def test_a_checkpoint_of_before_there_were_own_images_and_masks_keeps_its_name(tmp_path: Path) -> None:
    task = task_of(folder=tmp_path)
    FINETUNE.apply(task)
    lessons, plan = task.lessons, task.plan.to_json()
    assert lessons is not None and "masks" not in plan["spec"]
    what = [MODEL.digest, plan, lessons.tuning.to_json(), len(lessons.train), len(lessons.validation)]
    name = hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:12]
    assert (tmp_path / f"bcbp-{name}.pt").exists()


def test_a_full_disk_keeps_the_earlier_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.pt"
    save_checkpoint(path, {"epoch": 1, "weights": torch.arange(3.0)})

    def full(_handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CheckpointError, match="the disk is full"):
        save_checkpoint(path, {"epoch": 2})
    kept = load_checkpoint(path)
    assert kept is not None and kept["epoch"] == 1 and kept["weights"].tolist() == [0, 1, 2]


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "foreign"])
def test_a_damaged_checkpoint_is_named(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "a.pt"
    save_checkpoint(path, {"weights": torch.arange(1000.0)})
    content = bytearray(path.read_bytes())
    flipped = content[:]
    flipped[len(content) // 2] ^= 1
    foreign = b"PK" + bytes(100)
    path.write_bytes({"cut": content[:-7], "flipped": flipped, "empty": b"", "foreign": foreign}[damage])
    with pytest.raises(CheckpointError, match="is damaged or something else"):
        load_checkpoint(path)


def test_stop_keeps_the_best_so_far(tmp_path: Path) -> None:
    done: list[Epoch] = []
    task = task_of(folder=tmp_path)
    lessons = replace(task.lessons, on_epoch=done.append)  # type: ignore[type-var]
    with pytest.raises(Stopped):
        FINETUNE.apply(replace(task, lessons=lessons, should_stop=lambda: bool(done)))
    assert len(done) == 1
    assert {path.suffix for path in tmp_path.iterdir()} == {".pt", ".safetensors"}


def test_a_diverging_fine_tuning_gives_the_network_back_as_it_was_and_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(TuningLoss, "__call__", lambda *args: args[1].sum() * float("nan"))
    task = task_of()
    recovered = FINETUNE.apply(task)
    assert weights(recovered.module).equal(weights(task.start))
    assert "diverged in epoch 1; the network as it was before is kept" in recovered.notes[0]


def test_training_images_that_are_only_a_part_are_counted_out() -> None:
    task = task_of()
    few = Lessons(images("calibration"), images("validation"), replace(TUNING, epochs=1))
    assert (
        "Fine-tuned on the 60 training images that ship"
        in FINETUNE.apply(replace(task, lessons=few)).notes[0]
    )
    assert FINETUNE.apply(replace(task, lessons=replace(few, train=images("train")))).notes == ()


def test_the_test_images_and_missing_lessons_are_refused() -> None:
    with pytest.raises(DataError, match="got the test images"):
        Lessons(images("test"), images("validation"), TUNING)
    with pytest.raises(DataError, match="got the test images"):
        Lessons(images("train"), images("test"), TUNING)
    with pytest.raises(SpecError, match="Expected training and validation images"):
        FINETUNE.apply(replace(task_of(), lessons=None))
    with pytest.raises(SpecError, match="a batch that 3 processes can share equally; got 16"):
        Lessons(images("train"), images("validation"), TUNING, team=Team(0, 3))


def test_distillation_is_the_formula_in_float64() -> None:
    generator = torch.Generator().manual_seed(0)
    outputs, answers = torch.randn(2, 8, 10, generator=generator)
    labels = torch.arange(8)
    teacher = nn.Identity()
    loss = TuningLoss(teacher, 0.25, 3.0, 0.1)(outputs, answers, labels)
    p, q = (F.softmax(value.double() / 3, 1) for value in (answers, outputs))
    apart = (p * (p.log() - q.log())).sum(1).mean()
    wanted = 0.75 * F.cross_entropy(outputs.double(), labels, label_smoothing=0.1) + 0.25 * 9 * apart
    assert float(loss) == pytest.approx(float(wanted), rel=1e-5)
    assert float(TuningLoss(teacher, 1.0, 3.0, 0)(answers, answers, labels)) == pytest.approx(0, abs=1e-6)


def test_the_teacher_is_run_only_where_it_has_a_say_and_never_changed() -> None:
    before = weights(MODEL.module)
    FINETUNE.apply(task_of(tuning=replace(TUNING, epochs=1, distill=0.5)))
    assert weights(MODEL.module).equal(before)

    class Silent(nn.Module):
        def forward(self, _x: Tensor) -> Tensor:
            raise AssertionError("the teacher was run")

    TuningLoss(Silent(), 0.0, 4.0, 0.0)(torch.zeros(2, 3), torch.zeros(2), torch.zeros(2, dtype=torch.int64))


def test_precision_is_measured_unless_one_is_asked_for() -> None:
    asked = choose_precision(MODEL.module, images("train"), replace(TUNING, precision="bf16"), ALONE)
    assert asked.bf16 and asked.reason == "bf16, as asked for"
    before = weights(MODEL.module)
    found = choose_precision(MODEL.module, images("train"), replace(TUNING, precision="auto"), ALONE)
    assert found.reason.startswith("bf16:" if found.bf16 else "fp32:") and "a step took" in found.reason
    assert weights(MODEL.module).equal(before)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("optimizer", "lion", "Expected as optimizer one of sgd, adamw; got 'lion'"),
        ("schedule", "linear", "Expected as schedule one of cosine, step"),
        ("precision", "fp8", "Expected as precision one of auto, fp32, bf16"),
        ("epochs", 0, "Expected epochs from 1 to 1000 for fine-tuning; got 0"),
        ("distill", 1.5, "Expected distill from 0 to 1"),
        ("rate", float("nan"), "Expected rate"),
    ],
)
def test_settings_that_cannot_be_carried_out_are_refused(field: str, value: object, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        replace(TUNING, **{field: value})  # type: ignore[arg-type]


def test_settings_survive_json_and_unknown_ones_are_refused() -> None:
    assert Tuning.from_json(TUNING.to_json()) == TUNING
    with pytest.raises(SpecError, match="no field 'epoch'"):
        Tuning.from_json({"epoch": 3})


def test_the_step_schedule_falls_twice_and_the_cosine_to_zero() -> None:
    step = replace(TUNING, schedule="step", rate=1.0).recipe
    assert [round(step.rate(share), 6) for share in (0.05, 0.1, 0.5, 0.6, 0.9)] == [0.5, 1, 1, 0.1, 0.01]
    assert TUNING.recipe.rate(1.0) == pytest.approx(0, abs=1e-9)


def test_shares_of_a_team_make_up_the_batch_of_one_process() -> None:
    train = images("train")
    chosen = torch.arange(16)
    whole = train.training_inputs(chosen, torch.Generator().manual_seed(3), slice(None))
    shares = [
        train.training_inputs(chosen, torch.Generator().manual_seed(3), Team(rank, 4).share(16))
        for rank in range(4)
    ]
    assert torch.cat(shares).equal(whole)
    assert ALONE.share(16) == slice(0, 16)
