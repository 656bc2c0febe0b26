"""What was measured is kept whole, whoever writes beside it and whatever is damaged."""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from kernels.gpu.answers import (
    SHIPPED,
    Answer,
    Answers,
    Timed,
    default_folder,
    known_cards,
    read_table,
    table_of,
)
from kernels.gpu.launch import LaunchConfig

GATHERED = Timed("gathered", LaunchConfig(64, 64, 128, 64, split_k=2, swap=True), 0.5, 0.4, 0.6)
VENDOR = Timed("vendor", None, 0.75, 0.7, 0.8)
ANSWER = Answer("3x3 64-64", (VENDOR, GATHERED), "2026-11-25T10:00:00+00:00")


@pytest.fixture
def answers(tmp_path: Path) -> Answers:
    return Answers("card", folder=tmp_path / "own", tables=tmp_path / "shipped")


def ship(tmp_path: Path, *found: Answer) -> None:
    (tmp_path / "shipped").mkdir()
    (tmp_path / "shipped" / "card.json").write_text(json.dumps(table_of("card", iter(found))))


def test_what_is_remembered_is_found_by_another_process(answers: Answers, tmp_path: Path) -> None:
    assert answers.find("3x3 64-64") == (None, "")
    assert answers.remember(ANSWER) == ""
    later = Answers("card", folder=tmp_path / "own", tables=tmp_path / "shipped")
    assert later.find("3x3 64-64") == (ANSWER, "")
    assert later.find("3x3 64-128") == (None, "")
    assert Answers("other card", folder=tmp_path / "own").find("3x3 64-64") == (None, "")


def test_the_fastest_is_among_the_engines_asked_for() -> None:
    assert ANSWER.fastest(frozenset({"vendor", "gathered"})) == GATHERED
    assert ANSWER.fastest(frozenset({"vendor"})) == VENDOR
    assert ANSWER.fastest(frozenset({"streaming"})) is None


def test_answers_written_at_once_are_all_kept(tmp_path: Path) -> None:
    def write(number: int) -> str:
        mine = Answers("card", folder=tmp_path, tables=tmp_path)
        return mine.remember(replace(ANSWER, problem=f"layer {number % 25}"))

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(write, range(100))) == {""}
    kept = Answers("card", folder=tmp_path, tables=tmp_path)
    assert {answer.problem for answer in kept.all()} == {f"layer {number}" for number in range(25)}
    assert not list((tmp_path / "card").glob("*.part"))


def test_answers_of_another_schema_are_passed_over_and_their_tables_refused(
    answers: Answers, tmp_path: Path
) -> None:
    answers.remember(ANSWER)
    (path,) = answers.folder.iterdir()
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema": 1}))
    found, warning = answers.find("3x3 64-64")
    assert found is None and "expected schema 2, got 1" in warning
    table = tmp_path / "card.json"
    table.write_text(json.dumps(table_of("card", iter([ANSWER])) | {"schema": 1}))
    with pytest.raises(ValueError, match="expected schema 2, got 1"):
        read_table(table)


def test_refusals_are_kept(answers: Answers) -> None:
    refusing = replace(ANSWER, refused=("2:4: RuntimeError: no such kernel",))
    answers.remember(refusing)
    assert answers.find("3x3 64-64") == (refusing, "")


@pytest.mark.parametrize("content", ["", "{", "[]", '{"problem": "3x3 64-64"}', '{"timed": []}'])
def test_a_damaged_answer_is_passed_over_with_a_warning(answers: Answers, content: str) -> None:
    answers.remember(ANSWER)
    (path,) = answers.folder.iterdir()
    path.write_text(content)
    found, warning = answers.find("3x3 64-64")
    assert found is None and "damaged" in warning and str(path) in warning
    assert list(answers.all()) == []
    answers.remember(ANSWER)
    assert answers.find("3x3 64-64") == (ANSWER, "")


def test_an_answer_without_times_is_damaged(answers: Answers) -> None:
    answers.remember(replace(ANSWER, timed=()))
    assert "damaged" in answers.find("3x3 64-64")[1]


def test_shipped_answers_stand_in_until_the_card_has_its_own(tmp_path: Path, answers: Answers) -> None:
    elsewhere = replace(ANSWER, timed=(VENDOR,))
    ship(tmp_path, elsewhere, replace(elsewhere, problem="1x1 64-256"))
    found, _ = answers.find("3x3 64-64")
    assert found == replace(elsewhere, where=SHIPPED)
    answers.remember(ANSWER)
    assert answers.find("3x3 64-64") == (ANSWER, "")
    assert [answer.problem for answer in answers.all()] == ["3x3 64-64", "1x1 64-256"]
    assert known_cards(tmp_path / "own", tmp_path / "shipped") == ["card"]


def test_a_shipped_table_that_is_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "card.json"
    path.write_text('{"answers": [{}]}')
    with pytest.raises(ValueError, match="expected a table of tuned launches in"):
        read_table(path)


def test_nothing_is_lost_when_the_write_fails(answers: Answers, monkeypatch: pytest.MonkeyPatch) -> None:
    answers.remember(ANSWER)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("kernels.gpu.answers.json.dump", full)
    reason = answers.remember(replace(ANSWER, timed=(VENDOR,)))
    assert reason.startswith("not remembered: No space left on device")
    assert answers.find("3x3 64-64") == (ANSWER, "")
    assert len(list(answers.folder.iterdir())) == 1


@pytest.mark.parametrize(
    ("platform", "variables", "folder"),
    [
        ("linux", {"BCBP_HOME": "/b", "XDG_CACHE_HOME": "/x"}, "/b/tuning"),
        ("linux", {"XDG_CACHE_HOME": "/x"}, "/x/bcbp/tuning"),
        ("linux", {}, "/home/me/.cache/bcbp/tuning"),
        ("darwin", {}, "/home/me/Library/Caches/bcbp/tuning"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local/bcbp/tuning"),
    ],
)
def test_answers_lie_where_a_platform_keeps_what_can_be_made_again(
    monkeypatch: pytest.MonkeyPatch, platform: str, variables: dict[str, str], folder: str
) -> None:
    for name in ("BCBP_HOME", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(Path, "home", lambda: Path("/home/me"))
    assert default_folder() == Path(folder)
