"""The sentence of the Device page: yes, in part, no, cannot tell, not measured; each with its cause."""

from __future__ import annotations

import pytest

from app import device_findings
from app.device_findings import NO, PARTLY, PAYS, UNCLEAR, UNKNOWN, View
from bcbp.crossover import DECLINED, LOSES, WINS, CrossoverMap, Slice, distinct_layers
from bcbp.crossover import UNCLEAR as CLOSE
from bcbp.intake.architectures import load_model
from bcbp.passport import Passport
from tests.bcbp.passports import ENVIRONMENT, measured, model_passport, passport

SAMPLE = distinct_layers(load_model("sample"))


def view(made: Passport, batch: int = 1) -> View:
    return View(CrossoverMap(made, Slice(32, "float32")), SAMPLE, batch)


@pytest.mark.parametrize(
    ("states", "mood", "words"),
    [
        ({0.25: LOSES, 0.5: WINS, 0.75: WINS}, PAYS, "Yes, from 50 % removed on: at batch 1"),
        ({0.25: WINS, 0.5: CLOSE}, PARTLY, "In part: at batch 1 and 25 % removed"),
        ({0.25: LOSES, 0.75: LOSES}, NO, "No, not on this device: at batch 1, up to 75 % removed"),
        ({0.5: CLOSE}, UNCLEAR, "Cannot tell"),
        ({0.5: DECLINED}, NO, "no engine runs the 10 measured layers"),
    ],
)
def test_the_sentence_answers(states: dict[float, str], mood: str, words: str) -> None:
    found = device_findings.answer(view(model_passport(states)))
    assert found.mood == mood and words in found.sentence
    assert found.cause


def test_a_win_in_a_few_layers_is_no_yes() -> None:
    found = device_findings.answer(view(model_passport({0.5: LOSES}, odd_one=WINS)))
    assert found.mood == PARTLY
    assert "in 1 of 10 measured layers, which take 10 % of their dense time" in found.sentence
    assert "no ratio from which on" in found.cause


def test_the_cause_is_work_and_rate_of_the_costliest_layer() -> None:
    cause = device_findings.answer(view(model_passport({0.5: WINS}))).cause
    assert "`3x3 64-64 @28 ×2`: with 50 % of its multiply-adds left, at 92 % of the dense rate" in cause
    assert "no wide vectors" in device_findings.answer(view(model_passport({0.5: DECLINED}))).cause


def test_what_is_missing_and_what_was_noisy_are_said() -> None:
    made = passport([row for shape in list(SAMPLE)[:5] for row in measured(shape, WINS)])
    noisy = made.rows[1]
    object.__setattr__(noisy.row, "noisy", True)
    found = device_findings.answer(view(made))
    assert found.sentence.startswith("So far 6 of 10 layers are measured. Yes")
    assert "unsteady in 1 of 5 measurements" in found.cause


def test_a_few_small_layers_do_not_speak_for_the_network() -> None:
    found = device_findings.answer(view(passport(measured(next(iter(SAMPLE)), WINS))))
    assert found.mood == UNKNOWN and "0 % of the multiply-adds, too little" in found.sentence


def test_without_figures_there_is_no_answer() -> None:
    assert device_findings.answer(view(passport([]))).mood == UNKNOWN
    assert device_findings.answer(view(model_passport({0.5: WINS}), batch=8)).mood == UNKNOWN
    assert "tiles of 32" in device_findings.not_measured("sample", 32).sentence


def test_the_table_has_break_even_and_dense_time_of_every_batch() -> None:
    made = model_passport({0.5: LOSES, 0.75: WINS}, batches=(1, 8), odd_one=DECLINED)
    lines = device_findings.break_even_lines(view(made))
    assert [line["Layer"] for line in lines][:2] == ["3x3 1-64 @28", "3x3 64-64 @28 ×2"]
    assert lines[0]["Break-even, batch 8"] == "cannot run: no wide vectors"
    assert lines[1]["Break-even, batch 1"] == "from 75 %" and lines[1]["Best dense, batch 8"] == "2 ms"
    assert not device_findings.break_even_lines(view(passport([])))[0].keys() - {"Layer", "Share of work"}


def test_unknown_facts_are_left_out_and_missing_engines_have_reasons() -> None:
    lines = device_findings.environment_lines({"cpu": "x", "date": "2026-11-23"})
    assert [line["What"] for line in lines] == ["Processor", "GPU"]
    assert len(device_findings.environment_lines(ENVIRONMENT)) == 10
    engines = device_findings.engine_lines([("a", "A", None), ("b", "B", "no GPU")])
    assert [line["On this machine"] for line in engines] == ["available", "no: no GPU"]
