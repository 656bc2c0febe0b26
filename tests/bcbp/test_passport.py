"""A passport reads back as it was written; everything else is refused in one sentence, and nothing runs."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from bcbp import passport as module
from bcbp.crossover import DECLINED, LOSES, UNCLEAR, WINS
from bcbp.passport import MAX_BYTES, SCHEMA, Passport, PassportError, read_passport
from kernels.layers import LAYERS
from tests.bcbp.passports import measured, passport

SHAPES = [shape for group in LAYERS.values() for shape in group]
sessions = some.builds(
    measured,
    some.sampled_from(SHAPES),
    some.sampled_from([WINS, LOSES, UNCLEAR, DECLINED]),
    batch=some.integers(1, 1024),
    ratio=some.sampled_from([0.1, 0.25, 0.5, 0.9]),
    tile=some.sampled_from([16, 32, 64]),
    dtype=some.sampled_from(["float32", "float16"]),
)


@given(some.lists(sessions, max_size=6), some.booleans())
def test_a_passport_reads_back_as_it_was_written(taken: list[tuple[Any, Any]], gpu: bool) -> None:
    made = passport([row for session in taken for row in session], gpu=gpu)
    assert read_passport(json.dumps(made.to_json()).encode()) == made


def test_the_name_of_a_layer_is_made_from_its_sizes_not_taken_from_the_file() -> None:
    data = passport(measured(SHAPES[0], WINS)).to_json()
    for row in data["rows"]:
        row["layer"] = "![picture](http://elsewhere/x.png)"
    assert {one.row.layer for one in Passport.from_json(data)} == {SHAPES[0].name}


def test_a_processor_is_named_with_its_instruction_set_and_a_card_as_it_is() -> None:
    assert passport([]).name.endswith(" (AVX2)")
    assert "AVX2" not in passport([], gpu=True).name


def test_a_newer_row_takes_the_place_of_the_older_one_of_the_same_thing() -> None:
    made = passport([*measured(SHAPES[0], LOSES), *measured(SHAPES[0], WINS)])
    assert [one.row.verdict for one in made if one.row.pattern == "bcbp"] == ["better"]


def _in_row(**changes: Any) -> Callable[[dict[str, Any]], None]:
    return lambda data: data["rows"][1].update(changes)


def _in_geometry(**changes: Any) -> Callable[[dict[str, Any]], None]:
    return lambda data: data["rows"][1]["geometry"].update(changes)


def _at_top(**changes: Any) -> Callable[[dict[str, Any]], None]:
    return lambda data: data.update(changes)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (_at_top(kind="else"), "another kind"),
        (_at_top(schema=SCHEMA + 1), "newer version"),
        (_at_top(schema=True), "schema of 1"),
        (_at_top(schema="1"), "schema of 1"),
        (_at_top(device="tpu"), "a device out of cpu, cuda"),
        (_at_top(device=None), "device as text"),
        (_at_top(rows={}), "rows as a list"),
        (_at_top(rows=[5]), "row 1"),
        (_at_top(rates=[{"name": "x", "value": 1.0}]), "'unit' in ceiling 1"),
        (_at_top(rates=[{"name": "x", "value": -1.0, "unit": "B/s"}]), "positive rate"),
        (_at_top(rates=[{"name": "x", "value": 1.0, "unit": "parsecs"}]), "FLOP/s or B/s"),
        (_at_top(rates=[{"name": "x" * 2001, "value": 1.0, "unit": "B/s"}]), "at most 2000 characters"),
        (_at_top(environment=[]), "an environment"),
        (_at_top(environment={"date": "2026-11-23"}), "its cpu"),
        (_at_top(environment={"cpu": "x", "date": "yesterday"}), "a date"),
        (_at_top(environment={"cpu": "x", "date": "2026-11-23", "deep": {"a": {"b": 1}}}), "'deep'"),
        (_at_top(environment={str(n): n for n in range(99)}), "an environment"),
        (_in_row(batch=0), "a batch"),
        (_in_row(batch="1"), "batch as a whole number"),
        (_in_row(batch=True), "batch as a whole number"),
        (_in_row(batch=2**60), "batch as a whole number"),
        (_in_row(ratio=1.0), "a ratio in"),
        (_in_row(density=float("nan")), "density as a number"),
        (_in_row(median_ms=-1.0), "positive times"),
        (_in_row(q1_ms=None), "quartiles"),
        (_in_row(median_ms=None), "no verdict without a time"),
        (_in_row(interval=None), "speed-up with its interval"),
        (_in_row(interval=[1.0]), "interval as 2 values"),
        (_in_row(interval=3), "interval as a list"),
        (_in_row(interval=[2.0, 1.0]), "positive speed-up and interval"),
        (_in_row(interval=[0.9, 1.2]), "its interval supports"),
        (_in_row(verdict="splendid"), "its interval supports"),
        (_in_row(noisy="no"), "noisy as true or false"),
        (_in_row(mood=1), "no field 'mood'"),
        (_in_row(date="soon"), "a date"),
        (_in_row(plane=[0, 4]), "positive sizes"),
        (_in_row(plane=[1, 1]), "an object"),
        (_in_geometry(groups=3), "groups that divide"),
        (_in_geometry(kernel=[99, 99]), "a plane that the kernel fits"),
        (_in_geometry(stride=[0, 1]), "positive sizes"),
        (lambda data: data["rows"][1].pop("batch"), "a field 'batch'"),
        (lambda data: data["rows"][1].pop("geometry"), "an object with"),
        (lambda data: data["rows"].append(data["rows"][0]), "each measurement once"),
    ],
)
def test_what_is_damaged_is_refused_in_one_sentence(damage: Callable[[Any], None], words: str) -> None:
    data = passport(measured(SHAPES[0], WINS)).to_json()
    if words == "an object":
        data["rows"][1] = 5
    else:
        damage(data)
    with pytest.raises(PassportError) as refused:
        read_passport(json.dumps(data).encode())
    assert words in str(refused.value) and "\n" not in str(refused.value)


OTHER_FILES = {
    "empty": b"",
    "picture": b"\x89PNG",
    "page": b"<html>",
    "deep": b"[" * 100_000,
    "cut": b"{",
    "utf-16": b"\xff\xfe",
    "pickle": pickle.dumps({"kind": module.KIND}),
    "digits": b"1" * 9000,
}


@pytest.mark.parametrize("content", OTHER_FILES.values(), ids=OTHER_FILES)
def test_a_file_of_another_kind_is_refused(content: bytes) -> None:
    with pytest.raises(PassportError, match=r"^Expected a device passport"):
        read_passport(content)


def test_other_json_is_refused() -> None:
    with pytest.raises(PassportError, match="Export button"):
        read_passport(b'{"schema": 1, "kind": "layers", "rows": []}')


def test_a_file_that_is_too_large_is_not_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json, "loads", None)  # calling it would raise
    with pytest.raises(PassportError, match=r"at most 8 MB; got 8\.0 MB"):
        read_passport(b" " * (MAX_BYTES + 1))
