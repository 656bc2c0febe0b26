"""What the scope bar offers, and what a link may ask of it."""

from __future__ import annotations

from collections.abc import Mapping

from app.services import files, owners
from app.titles import PATTERN_TITLES
from bcbp.geometry import TILE_ROWS
from bcbp.intake.architectures import MODELS
from bcbp.intake.signatures import signatures
from bcbp.patterns import PATTERNS

TILES = tuple(rows for rows in TILE_ROWS if rows > 1)
MODEL_NAMES = tuple(MODELS)
ARCHITECTURES = tuple(dict.fromkeys((*MODELS, *signatures())))  # by name, weights or not


def of_link(asked: str | None, images: str | None) -> dict[str, Mapping[str, str | int]]:
    """Values by key and by the words a link may use, names or labels.

    `asked` is the model of the link: a stored file, too, can be one. `images` are stored ones of the link.
    """
    names = (*ARCHITECTURES, *((asked,) if asked and files.is_stored(asked) else ()))
    return {
        "model": {name: name for name in names},
        "tile": {str(rows): rows for rows in TILES},
        "images": {images: images} if images and owners.has_images(images) else {},
        "method": {name: name for name in PATTERNS} | {label: name for name, label in PATTERN_TITLES.items()},
    }
