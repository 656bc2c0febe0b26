"""Recoveries work on copies, keep zeros zero, never see the test images, and give every pattern the same."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from bcbp import calibration
from bcbp.data import CIFAR10, ImageSet
from bcbp.errors import DataError
from bcbp.intake.model import LoadedModel, adopt, state_digest
from bcbp.masking import apply_plan
from bcbp.patterns import PATTERNS
from bcbp.plan import PruningPlan
from bcbp.planning import make_plan
from bcbp.recovery import RECOVERIES, RecoveryTask, refit
from bcbp.recovery.ladder import climb, rungs_up_to
from bcbp.recovery.tuning import Lessons, Tuning
from bcbp.spec import PruneSpec
from kernels.measure import Stopped


def images(count: int = 60, part: str = "calibration") -> ImageSet:
    """Smooth pictures: neighbours are alike, as in real ones, so that inputs can stand in for others."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.randint(0, 256, (count, 3, 4, 4), generator=generator).float()
    pixels = nn.functional.interpolate(coarse, size=(32, 32), mode="bilinear").to(torch.uint8)
    return ImageSet(CIFAR10, part, pixels, torch.arange(count) % 10)


class Net(nn.Module):
    """Inner convolutions with and without bias, batch norms, a grouped one and a sum, then Linear layers."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, stride=2, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(16)
        self.inner = nn.Conv2d(16, 16, 3, padding=1)
        self.outer = nn.Conv2d(16, 16, 3, padding=1, bias=False)
        self.outer_norm = nn.BatchNorm2d(16)
        self.grouped = nn.Conv2d(16, 16, 3, stride=2, groups=2)
        self.hidden = nn.Linear(16, 16)
        self.head = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.norm(self.stem(x)))
        x = torch.relu(x + self.outer_norm(self.outer(torch.relu(self.inner(x)))))
        x = torch.relu(self.grouped(x)).mean((2, 3))
        return self.head(torch.relu(self.hidden(x)))


class Untraceable(Net):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x if x.sum() > 0 else x + 0)


def model_of(build: type[nn.Module] = Net) -> LoadedModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        module = build()
        with torch.no_grad():
            module(images().inputs())  # statistics of these images, as training would leave them
        return adopt(module, name="net", input_shape=(3, 32, 32), dataset=CIFAR10, trained=True)


MODEL = model_of()


def plan_of(pattern: str, model: LoadedModel = MODEL, **fields: object) -> PruningPlan:
    return make_plan(model, PruneSpec(pattern=pattern, tile=8, **fields))  # type: ignore[arg-type]


def task_of(plan: PruningPlan, model: LoadedModel = MODEL, **fields: object) -> RecoveryTask:
    lessons = Lessons(images(part="train"), images(part="validation"), Tuning(epochs=1, batch=16))
    return RecoveryTask(model, plan, apply_plan(model, plan), images(), lessons, **fields)  # type: ignore[arg-type]


def distance(module: nn.Module, model: LoadedModel = MODEL) -> float:
    """Mean squared difference of the outputs from the original's on the calibration images."""
    with torch.no_grad():
        inputs = images().inputs()
        return float((module(inputs) - model.module(inputs)).square().mean())


@pytest.mark.parametrize("name", RECOVERIES)
@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_recovery_leaves_the_model_alone_and_zeros_zero(name: str, pattern: str) -> None:
    before = state_digest(MODEL.module)
    plan = plan_of(pattern)
    recovered = RECOVERIES[name].apply(task_of(plan)).module
    assert state_digest(MODEL.module) == before
    assert not any(child.training for child in recovered.modules())
    for planned in plan:
        weight = recovered.get_submodule(planned.name).weight.flatten(1)  # type: ignore[union-attr,operator]
        assert not weight[~planned.mask.dense()].any()
        assert torch.isfinite(weight).all()


@pytest.mark.parametrize("pattern", PATTERNS)
def test_refitted_weights_come_nearer_to_the_original_than_masked_ones(pattern: str) -> None:
    plan = plan_of(pattern)
    raw, refitted = (RECOVERIES[name].apply(task_of(plan)).module for name in ("none", "refit"))
    assert distance(refitted) < distance(raw)


@pytest.mark.parametrize("recovery", ["none", "refit", "finetune"])
def test_a_filter_that_is_gone_gives_nothing_after_recovery(recovery: str) -> None:
    plan = plan_of("filter")
    removed = ~plan["inner"].mask.rows
    assert removed.any()
    recovered = RECOVERIES[recovery].apply(task_of(plan)).module
    outputs: list[Tensor] = []
    recovered.get_submodule("inner").register_forward_hook(lambda *call: outputs.append(call[2]))
    with torch.no_grad():
        recovered(images(4).inputs())
    assert not outputs[0][:, removed].any() and outputs[0][:, ~removed].any()


def test_nothing_pruned_is_nothing_changed_by_a_refit() -> None:
    refitted = RECOVERIES["refit"].apply(task_of(plan_of("bcbp", ratio=0.0))).module
    assert state_digest(refitted) == MODEL.digest


def test_layers_before_the_first_pruned_one_stay_as_they_are() -> None:
    plan = plan_of("bcbp", allocation="explicit", ratios=(("outer", 0.5),))
    refitted = RECOVERIES["refit"].apply(task_of(plan)).module.state_dict()
    original = MODEL.module.state_dict()
    changed = {name for name, value in original.items() if not value.equal(refitted[name])}
    behind = {"outer", "outer_norm", "grouped", "hidden", "head"}  # the head stays dense, and is refitted
    assert {name.split(".")[0] for name in changed} == behind


def test_a_network_that_cannot_be_traced_is_refitted_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the slow twin of the walk. Without a trace no norm is known to follow: told, the two agree."""
    twin = model_of(Untraceable)
    monkeypatch.setattr(calibration, "before_norms", lambda _module: frozenset({"stem", "outer"}))
    fast = RECOVERIES["refit"].apply(task_of(plan_of("bcbp"))).module
    slow = RECOVERIES["refit"].apply(task_of(plan_of("bcbp", twin), twin)).module
    for name, value in fast.state_dict().items():
        torch.testing.assert_close(slow.state_dict()[name], value)


def test_layers_that_cannot_be_refitted_are_named_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refit, "_MOST_WORK", 1.0)
    recovered = RECOVERIES["refit"].apply(task_of(plan_of("unstructured")))
    assert any("inner is not refitted: its rows share no kept set" in note for note in recovered.notes)


def test_a_layer_that_is_called_twice_keeps_its_masked_weights_and_says_so() -> None:
    class Twice(Net):
        def forward(self, x: Tensor) -> Tensor:
            x = torch.relu(self.norm(self.stem(x)))
            x = self.inner(torch.relu(self.inner(x)))
            return self.head(self.hidden(x.mean((2, 3))))

    model = model_of(Twice)
    plan = plan_of("bcbp", model)
    recovered = RECOVERIES["refit"].apply(task_of(plan, model))
    assert "inner is not refitted: it is not called exactly once." in recovered.notes
    masked = RECOVERIES["none"].apply(task_of(plan, model)).module
    assert recovered.module.get_submodule("inner").weight.equal(masked.get_submodule("inner").weight)


def test_batchnorm_statistics_become_those_of_the_images() -> None:
    plan = plan_of("bcbp")
    recovered = RECOVERIES["batchnorm"].apply(task_of(plan)).module
    with torch.no_grad():
        outputs = recovered.get_submodule("stem")(images().inputs())
    norm = recovered.get_submodule("norm")
    torch.testing.assert_close(norm.running_mean, outputs.mean((0, 2, 3)), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(norm.running_var, outputs.var((0, 2, 3)), atol=1e-5, rtol=1e-4)
    assert norm.momentum == 0.1


@pytest.mark.parametrize("name", ["batchnorm", "refit", "finetune"])
def test_a_recovery_stops_when_it_is_asked_to(name: str) -> None:
    with pytest.raises(Stopped):
        RECOVERIES[name].apply(task_of(plan_of("bcbp"), should_stop=lambda: True))


@pytest.mark.parametrize("name", ["batchnorm", "refit", "finetune"])
def test_a_recovery_tells_how_far_it_is(name: str) -> None:
    told: list[float] = []
    RECOVERIES[name].apply(task_of(plan_of("bcbp"), tell=told.append))
    assert told and told == sorted(told) and told[0] >= 0 and told[-1] <= 1


def test_the_test_images_are_refused() -> None:
    with pytest.raises(DataError, match="got the test images"):
        RecoveryTask(MODEL, plan_of("bcbp"), MODEL.module, images(part="test"))
    with pytest.raises(DataError, match="got the test images"):
        next(climb(task_of(plan_of("bcbp")), top="none", validation=images(part="test")))


def test_the_ladder_tries_every_rung_up_to_the_top_and_keeps_the_best_on_validation() -> None:
    validation = images(40, "validation")
    rungs = list(climb(task_of(plan_of("bcbp")), top="refit", validation=validation))
    assert [rung.name for rung in rungs] == list(rungs_up_to("refit")) == ["none", "batchnorm", "refit"]
    most = -1
    for rung in rungs:
        assert rung.kept == (rung.validation.correct > most)
        most = max(most, rung.validation.correct)
        assert rung.seconds >= 0 and rung.validation.total == 40


def test_a_rung_starts_from_the_best_below_it(monkeypatch: pytest.MonkeyPatch) -> None:
    starts: list[nn.Module] = []

    class Spy:
        def apply(self, task: RecoveryTask) -> object:
            starts.append(task.start)
            return RECOVERIES["none"].apply(task)

    monkeypatch.setitem(RECOVERIES, "spy", Spy())  # type: ignore[arg-type]
    rungs = list(climb(task_of(plan_of("bcbp")), top="spy", validation=images(40, "validation")))
    best = max(rungs[:-1], key=lambda rung: rung.validation.correct)  # of equals the first, the lower one
    assert starts == [best.module]


def test_every_pattern_gets_the_same_images_positions_and_damping(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the refit of a layer is given, by pattern, up to the inputs themselves: equal footing."""
    seen: dict[str, list[tuple[str, int, int]]] = {}
    stream = refit.MomentStream

    for pattern in PATTERNS:
        budget = seen.setdefault(pattern, [])

        class Counted(stream):  # type: ignore[valid-type,misc]
            def moments(self, budget: list = budget) -> object:
                columns = self._layer.weight[0].numel()
                budget.append((str(self._layer), columns, self._count))
                return super().moments()

        monkeypatch.setattr(refit, "MomentStream", Counted)
        RECOVERIES["refit"].apply(task_of(plan_of(pattern)))
    layers = {layer for budget in seen.values() for layer, _, _ in budget}
    for layer in layers:
        assert len({entry for budget in seen.values() for entry in budget if entry[0] == layer}) == 1
    assert not any("pattern" in field for field in RecoveryTask.__dataclass_fields__)
