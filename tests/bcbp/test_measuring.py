"""Measuring a device: what is left out, what is kept, how it ends. Clocks are invented but for one test."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from torch import nn

from bcbp import layer_timing, measuring
from bcbp.crossover import LOSES, WINS, CrossoverMap, Slice, distinct_layers
from bcbp.device_report import layers_of
from bcbp.device_request import DeviceRequest
from bcbp.devices import DEVICES, present_devices
from bcbp.errors import ModelError, SpecError
from bcbp.fields import FieldError
from bcbp.intake.model import adopt
from bcbp.layer_timing import LayerJob, time_layers
from bcbp.measuring import measure_device
from bcbp.passport import Passport, PassportError, Rate
from bcbp.passport_store import PassportStore
from bcbp.progress import Progress
from kernels.bench import LayerRow
from kernels.device import environment
from kernels.measure import Stopped
from tests.bcbp.passports import measured

REQUEST = DeviceRequest(tile=16, ratios=(0.5, 0.75), batches=(1, 2), rounds=5)
LAYERS = (nn.Conv2d(16, 32, 3, padding=1), *(nn.Conv2d(32, 32, 3, padding=1) for _ in range(2)))
NET = adopt(nn.Sequential(*LAYERS), name="small", input_shape=(16, 6, 6))


class Clock:
    """Stands in for a line of DEVICES: every cell ends in `state`; counts what it timed."""

    dtype = DEVICES["cpu"].dtype

    def __init__(self, state: str = WINS) -> None:
        self.state = state
        self.timed: list[tuple[str, int, float]] = []

    def missing(self) -> None:
        """It is always there."""

    def rates(self) -> tuple[Rate, ...]:
        return (Rate("copy", 2e10, "B/s"),)

    def rows(self, shapes, *, ratios, batches, tile, patterns, rounds, progress) -> Iterator[LayerRow]:
        assert patterns == ("bcbp",) and rounds == REQUEST.rounds
        for shape in shapes:
            for batch in batches:
                for ratio in ratios:
                    progress(0.5, "half")
                    self.timed.append((shape.name, batch, ratio))
                    yield from (
                        one.row for one in measured(shape, self.state, batch=batch, ratio=ratio, tile=tile)
                    )


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The CPU with an invented clock and ceilings, measured in this process."""
    made = Clock()
    monkeypatch.setitem(DEVICES, "cpu", made)
    monkeypatch.setattr(measuring, "load_model", lambda _name: NET)
    monkeypatch.setattr(measuring, "run_timing", time_here)
    return made


def time_here(job: LayerJob, *, on_event: Callable[[Any], None], should_stop, command) -> None:
    assert command == measuring.COMMAND

    def emit(event: dict[str, Any]) -> None:
        if should_stop():
            raise Stopped
        on_event(json.loads(json.dumps(event)))

    time_layers(LayerJob.from_json(json.loads(json.dumps(job.to_json()))), emit)


def measure(root: Path, request: DeviceRequest = REQUEST, *, should_stop=lambda: False) -> list[Progress]:
    seen: list[Progress] = []
    measure_device(request, root=root, on_event=lambda now, _: seen.append(now), should_stop=should_stop)
    return seen


def live(root: Path) -> Passport:
    found = PassportStore(root).live("cpu", environment())
    assert found is not None
    return found


def test_every_distinct_layer_is_measured_at_every_batch_and_ratio(tmp_path: Path, clock: Clock) -> None:
    seen = measure(tmp_path)
    made = live(tmp_path)
    assert len(clock.timed) == len(set(clock.timed)) == 2 * 2 * 2
    assert made.rates == (Rate("copy", 2e10, "B/s"),)
    found = CrossoverMap(made, Slice(16, "float32"))
    for layer in NET.layers:
        assert found.break_even((layer.geometry, layer.plane), 2).ratio == 0.5
    assert seen[-1].fraction == 1.0 and {"load_after", "clock_after"} <= made.environment.keys()
    assert [step.label for step in seen[-1].steps][:2] == ["Ceilings of the device", "3x3 16-32 @6, batch 1"]
    assert {step.state for step in seen[-1].steps} == {"done"}


def test_the_run_keeps_what_it_was_asked_for_apart_from_the_rest_of_the_passport(
    tmp_path: Path, clock: Clock
) -> None:
    measure(tmp_path, replace(REQUEST, tile=32))
    told: list[Any] = []
    measure_device(REQUEST, root=tmp_path, on_event=lambda _, report: told.append(report))
    report = json.loads(json.dumps(next(one for one in reversed(told) if one)))
    passport = Passport.from_json(report)
    assert len(live(tmp_path).rows) > len(passport.rows) == 16
    assert DeviceRequest.from_json(report["request"]) == REQUEST
    assert layers_of(report, passport) == distinct_layers(NET)
    assert layers_of(passport.to_json(), passport) == dict.fromkeys(distinct_layers(NET), 1)


def test_what_is_stopped_keeps_its_rows_and_is_gone_on_with(tmp_path: Path, clock: Clock) -> None:
    seen = measure(tmp_path, should_stop=lambda: len(clock.timed) == 3)
    assert seen[-1].message == "Stopped"
    kept = len(live(tmp_path).rows)
    assert 0 < kept < 16
    before = list(clock.timed)
    measure(tmp_path)
    again = set(before[:2]) & set(clock.timed[3:])
    assert not again and len(live(tmp_path).rows) == 16


def test_what_crashed_keeps_its_rows(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(job: LayerJob, *, on_event, should_stop, command) -> None:
        time_here(
            replace(job, groups=job.groups[:1]), on_event=on_event, should_stop=should_stop, command=command
        )
        raise ModelError("The timing process was ended by SIGKILL.")

    monkeypatch.setattr(measuring, "run_timing", crash)
    with pytest.raises(ModelError):
        measure(tmp_path)
    assert len(live(tmp_path).rows) == 4


def test_a_row_that_could_not_be_read_again_is_not_written(tmp_path: Path, clock: Clock, monkeypatch) -> None:
    timed = LayerRow.to_json
    monkeypatch.setattr(LayerRow, "to_json", lambda row: timed(row) | {"note": "x" * 2001})
    with pytest.raises(FieldError, match="note as text"):
        measure(tmp_path)
    assert live(tmp_path).rows == ()


def test_nothing_is_measured_twice_unless_asked_for(tmp_path: Path, clock: Clock) -> None:
    measure(tmp_path)
    count, clock.state = len(clock.timed), LOSES
    measure(tmp_path)
    assert len(clock.timed) == count
    measure(tmp_path, replace(REQUEST, again=True))
    made = live(tmp_path)
    assert len(clock.timed) == 2 * count and len(made.rows) == 16
    assert {one.row.verdict for one in made if one.row.pattern == "bcbp"} == {"worse"}


def test_another_ratio_is_added_to_what_is_there(tmp_path: Path, clock: Clock) -> None:
    measure(tmp_path)
    measure(tmp_path, replace(REQUEST, ratios=(0.5, 0.9)))
    assert {ratio for _, _, ratio in clock.timed[8:]} == {0.9}


def test_a_device_without_an_engine_is_refused_with_the_reason(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setitem(DEVICES, "cpu", replace(DEVICES["cpu"], engine="triton"))
    monkeypatch.setattr("kernels.gpu.engine.missing_reason", lambda: "torch sees no NVIDIA GPU")
    with pytest.raises(SpecError, match="torch sees no NVIDIA GPU"):
        measure(tmp_path)
    assert present_devices() == ()


def test_a_damaged_passport_is_not_written_over(tmp_path: Path, clock: Clock) -> None:
    path = PassportStore(tmp_path).live_path("cpu", environment())
    path.parent.mkdir(parents=True)
    path.write_text("{")
    with pytest.raises(PassportError, match="move it away"):
        measure(tmp_path)
    assert path.read_text() == "{" and not clock.timed


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model": "lenet"}, "a model out of"),
        ({"device": "tpu"}, "a device out of cuda, cpu"),
        ({"tile": 33}, "a tile of"),
        ({"ratios": ()}, "at least one ratio"),
        ({"batches": ()}, "at least one ratio and one batch"),
        ({"ratios": (0.5, 0.5)}, "without repetition"),
        ({"ratios": (-0.1,)}, "ratios in .0, 1"),
        ({"ratios": ("a",)}, "ratios in .0, 1"),
        ({"batches": (1, 1)}, "without repetition"),
        ({"batches": (0,)}, "a batch from 1"),
        ({"rounds": 2}, "rounds from 5"),
    ],
)
def test_a_request_that_cannot_be_carried_out_is_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises((SpecError, ModelError), match=words):
        DeviceRequest(**change)


def test_a_request_reads_back_and_refuses_what_it_does_not_know() -> None:
    assert DeviceRequest.from_json(json.loads(json.dumps(REQUEST.to_json()))) == REQUEST
    with pytest.raises(SpecError, match="warp"):
        DeviceRequest.from_json({"warp": 9})


def test_the_process_that_times_layers_really_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if reason := DEVICES["cpu"].missing():
        pytest.skip(reason)
    monkeypatch.setattr(measuring, "load_model", lambda _name: NET)
    measure(tmp_path, replace(REQUEST, ratios=(0.75,), batches=(1,)))
    made = live(tmp_path)
    assert {one.row.pattern for one in made} == {"dense plain", "dense prepacked", "dense cpu-tiles", "bcbp"}
    assert len(made.rows) == 8 and {rate.unit for rate in made.rates} == {"FLOP/s", "B/s"}
    found = CrossoverMap(made, Slice(16, "float32")).break_even((NET.layers[0].geometry, (6, 6)), 1)
    assert found.highest == 0.75


def test_the_process_takes_the_job_that_it_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """`main` serves the job on stdin; what `serve` does with errors is tested with bcbp.timing."""
    served: list[dict[str, Any]] = []
    monkeypatch.setattr(layer_timing, "time_layers", lambda job, emit: served.append(job.to_json()))
    job = LayerJob("cpu", 1, 5, ())
    monkeypatch.setattr(
        layer_timing, "serve", lambda work: work(json.loads(json.dumps(job.to_json())), print)
    )
    layer_timing.main()
    assert LayerJob.from_json(served[0]) == job
