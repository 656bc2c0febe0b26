"""Passports: what was measured on this machine, what came from others, and what follows for a model."""

from __future__ import annotations

from app.services import machine, models, owners, stores
from app.words import device_words
from bcbp.crossover import BreakEven, CrossoverMap, Slice
from bcbp.devices import DEVICES
from bcbp.passport import Passport, PassportError
from bcbp.passport_store import IMPORTED, Stored


def live(device: str) -> Passport | None:
    """What was measured on this machine under its present conditions. Raises PassportError."""
    return stores.passports().live(device, machine.conditions())


def others() -> tuple[Stored, ...]:
    """Every passport but the live ones; of those imported, the ones of who is there."""
    every = stores.passports().others(machine.conditions())
    return tuple(
        one for one in every if one.origin != IMPORTED or owners.is_mine(owners.IMPORTS, one.path.stem)
    )


def take_in(content: bytes) -> Stored:
    """Keep an imported passport. Raises PassportError."""
    stored = stores.passports().take_in(content)
    owners.keep(owners.IMPORTS, stored.path.stem)
    return stored


def forget(stored: Stored) -> None:
    """Delete an imported passport, unless somebody else imported the same. Raises NotYours."""
    if owners.drop(owners.IMPORTS, stored.path.stem):
        stores.passports().forget(stored)


def timed_batches(name: str, tile: int) -> tuple[int, ...]:
    """Batch sizes at which this machine's own passport has any layer of a model. Raises PassportError."""
    found = _times(tile)
    return () if found is None else found.batches(shape.place for shape in models.layer_shapes(name))


def break_evens(name: str, tile: int) -> dict[str, str]:
    """What this machine's own passport says of every layer of a model, in words."""
    try:
        found = _times(tile)
    except PassportError:  # the Device page says what is wrong with it
        found = None
    if found is None:
        return {}
    words = {}
    for info in models.model(name).layers:
        place = (info.geometry, info.plane)
        evens = [(found.break_even(place, batch), batch) for batch in found.batches([place])]
        words[info.name] = device_words.break_evens([(_in_words(even), batch) for even, batch in evens])
    return words


def _times(tile: int) -> CrossoverMap | None:
    """This machine's own layer times in tiles of so many filters; None before any. Raises PassportError."""
    device = machine.live_devices()[0]
    passport = live(device)
    return None if passport is None else CrossoverMap(passport, Slice(tile, DEVICES[device].dtype))


def _in_words(even: BreakEven) -> str:
    return device_words.break_even(even.ratio, even.highest, declined=bool(even.reason), unclear=even.unclear)
