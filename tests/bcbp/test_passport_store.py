"""Passports on disk: live, imported, recorded and earlier ones stay apart, and no file is trusted."""

from __future__ import annotations

import errno
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from bcbp.crossover import WINS
from bcbp.passport import Passport, PassportError
from bcbp.passport_store import EARLIER, IMPORTED, RECORDED, PassportStore, identity
from kernels.layers import square
from tests.bcbp.passports import ENVIRONMENT, measured, passport

MADE = passport(measured(square(64, 64, size=14), WINS))


@pytest.fixture
def store(tmp_path: Path) -> PassportStore:
    return PassportStore(tmp_path / "home", recorded=tmp_path / "recorded")


def content(made: Passport = MADE) -> bytes:
    return json.dumps(made.to_json()).encode()


def test_what_was_measured_here_is_found_again_and_nowhere_else(store: PassportStore) -> None:
    assert store.live("cpu", ENVIRONMENT) is None
    store.write_live(MADE)
    assert store.live("cpu", ENVIRONMENT) == MADE
    assert store.live("cuda", ENVIRONMENT) is None
    assert store.others(ENVIRONMENT) == ()


@pytest.mark.parametrize(
    "change",
    [{"cpu": "Other"}, {"threads": 1}, {"usable_cores": 8}, {"versions": {"torch": "2.14.0"}}],
    ids=lambda change: next(iter(change)),
)
def test_under_other_conditions_the_same_file_is_an_earlier_one(store: PassportStore, change) -> None:
    store.write_live(MADE)
    now = ENVIRONMENT | change
    assert store.live("cpu", now) is None
    assert [(stored.origin, stored.passport) for stored in store.others(now)] == [(EARLIER, MADE)]


def test_load_date_and_commit_do_not_make_another_device() -> None:
    later = ENVIRONMENT | {"load": 3.0, "date": "2027-01-01T00:00:00+00:00", "commit": "fedcba"}
    assert identity("cpu", later) == identity("cpu", ENVIRONMENT)
    assert identity("cuda", ENVIRONMENT) != identity("cpu", ENVIRONMENT)


def test_imported_and_recorded_ones_never_become_live(store: PassportStore, tmp_path: Path) -> None:
    """Though they are of this very machine, as far as their words go."""
    (tmp_path / "recorded").mkdir()
    (tmp_path / "recorded" / "passport-here.json").write_bytes(content())
    (tmp_path / "recorded" / "layers-resnet18.json").write_text("{}")
    taken = store.take_in(content())
    assert store.live("cpu", ENVIRONMENT) is None
    assert [(stored.id, stored.origin) for stored in store.others(ENVIRONMENT)] == [
        ("recorded:here", RECORDED),
        (taken.id, IMPORTED),
    ]


def test_the_same_file_imported_twice_is_one_and_can_be_forgotten(store: PassportStore) -> None:
    first, second = store.take_in(content()), store.take_in(content())
    assert first == second and len(store.others(ENVIRONMENT)) == 1
    store.forget(first)
    assert store.others(ENVIRONMENT) == ()


def test_only_imports_can_be_forgotten(store: PassportStore) -> None:
    with pytest.raises(AssertionError):
        store.forget(replace(store.take_in(content()), origin=RECORDED))


def test_a_damaged_import_leaves_nothing_behind(store: PassportStore) -> None:
    with pytest.raises(PassportError):
        store.take_in(b"{}")
    assert store.others(ENVIRONMENT) == ()


def test_a_damaged_live_file_is_named_and_kept(store: PassportStore) -> None:
    store.write_live(MADE)
    path = store.live_path("cpu", ENVIRONMENT)
    path.write_text("{")
    with pytest.raises(PassportError, match="move it away") as refused:
        store.live("cpu", ENVIRONMENT)
    assert str(path) in str(refused.value) and path.read_text() == "{"


def test_a_damaged_recording_is_listed_with_its_problem(store: PassportStore, tmp_path: Path) -> None:
    (tmp_path / "recorded").mkdir()
    (tmp_path / "recorded" / "passport-x.json").write_text("[]")
    (stored,) = store.others(ENVIRONMENT)
    assert stored.passport is None and "another kind" in (stored.problem or "")


def test_a_file_too_large_to_read_is_not_read(store: PassportStore, tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "recorded").mkdir()
    (tmp_path / "recorded" / "passport-x.json").write_bytes(content())
    monkeypatch.setattr("bcbp.passport.MAX_BYTES", 10)
    monkeypatch.setattr(Path, "read_bytes", None)  # calling it would raise
    assert "at most" in (store.others(ENVIRONMENT)[0].problem or "")


def test_a_file_that_cannot_be_read_says_why(store: PassportStore, tmp_path: Path) -> None:
    (tmp_path / "recorded" / "passport-folder.json").mkdir(parents=True)
    assert "cannot be read" in (store.others(ENVIRONMENT)[0].problem or "")


def test_a_file_is_read_again_when_it_changed(store: PassportStore) -> None:
    store.write_live(MADE)
    assert store.live("cpu", ENVIRONMENT) == MADE
    more = MADE.with_row(measured(square(64, 64, size=14), WINS, ratio=0.75)[1])
    store.write_live(more)
    assert store.live("cpu", ENVIRONMENT) == more


def test_a_full_disk_refuses_an_import_in_one_sentence(store: PassportStore, monkeypatch) -> None:
    def full(_handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(PassportError, match="the disk is full"):
        store.take_in(content())


def test_every_recording_that_ships_can_be_read(tmp_path: Path) -> None:
    assert [stored.problem for stored in PassportStore(tmp_path).others(ENVIRONMENT) if stored.problem] == []
