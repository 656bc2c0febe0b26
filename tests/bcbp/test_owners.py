"""Whose a thing in a shared store is."""

from __future__ import annotations

from pathlib import Path

import pytest

from bcbp.jobs.owners import Owners, owner_of

ANN, BEN = owner_of("browser", "a"), owner_of("browser", "b")


@pytest.fixture
def owners(tmp_path: Path) -> Owners:
    return Owners(tmp_path, "uploads")


def test_a_thing_belongs_to_who_was_named_and_to_nobody_else(owners: Owners):
    owners.add("net-0123.pt@resnet18", ANN)
    assert owners.has("net-0123.pt@resnet18", ANN)
    assert not owners.has("net-0123.pt@resnet18", BEN) and not owners.has("other", ANN)


def test_kinds_are_kept_apart(owners: Owners, tmp_path: Path):
    owners.add("one", ANN)
    assert not Owners(tmp_path, "runs").has("one", ANN)


def test_the_same_content_has_several_owners_until_the_last_drops_it(owners: Owners):
    for owner in (ANN, BEN, ANN):
        owners.add("one", owner)
    assert not owners.drop("one", ANN) and owners.has("one", BEN) and not owners.has("one", ANN)
    assert owners.drop("one", BEN) and not owners.has("one", BEN)


def test_what_belongs_to_nobody_can_be_dropped(owners: Owners):
    assert owners.drop("one", ANN)


@pytest.mark.parametrize("thing", ["", "..", ".", "a/b", "a\\b"])
def test_no_name_leads_out_of_the_folder(owners: Owners, thing: str):
    with pytest.raises(AssertionError):
        owners.add(thing, ANN)


def test_an_owner_is_opaque_and_no_two_identities_share_one():
    assert "secret" not in owner_of("browser", "secret") and len(ANN) == 32
    assert owner_of("ab", "c") != owner_of("a", "bc")
