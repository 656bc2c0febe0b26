"""Which passports can be looked at: this machine's own first, then recorded, imported and earlier ones."""

from __future__ import annotations

from dataclasses import dataclass

from app.services import machine, passports
from app.state import selection
from app.words import device_words
from bcbp.passport import Passport, PassportError, device_name
from bcbp.passport_store import LIVE, Stored


@dataclass(frozen=True)
class Shown:
    """One line of the selector: this machine's own `device` (a line of DEVICES), or what is `stored`."""

    id: str
    label: str
    passport: Passport | None
    problem: str | None = None
    device: str | None = None
    stored: Stored | None = None


def choices() -> dict[str, Shown]:
    """Everything that can be looked at, this machine's own first."""
    every = [_live(device) for device in machine.live_devices()]
    every += [_stored(stored) for stored in passports.others()]
    return {shown.id: shown for shown in every}


def _live(device: str) -> Shown:
    name, label = f"{LIVE}:{device}", device_words.live_label(device_name(device, machine.conditions()))
    try:
        return Shown(name, label, passports.live(device), device=device)
    except PassportError as error:
        return Shown(name, label, None, str(error), device=device)


def _stored(stored: Stored) -> Shown:
    passport = stored.passport
    if passport is None:
        return Shown(stored.id, f"{stored.origin}: {stored.path.name}", None, stored.problem, stored=stored)
    label = device_words.passport_label(stored.origin, passport.name, passport.dates, passport.commits)
    return Shown(stored.id, label, passport, stored=stored)


def in_focus(known: dict[str, Shown]) -> Shown:
    """The passport of the link or chosen here; this machine's own unless asked otherwise."""
    return known[selection.passport_id(tuple(known), next(iter(known)))]
