"""How a picture becomes the input of a network: resized, cut out in the middle, scaled."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from bcbp.errors import SpecError

Shape = tuple[int, int, int]

# Of ImageNet's training images, and what the cut leaves of the resized picture: torchvision's usual share.
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_SHRINK = 224 / 256


@dataclass(frozen=True)
class Preprocessing:
    """The shorter side is resized to `resize` pixels, the middle `height` x `width` cut out, each
    channel, from 0 to 1, scaled to (value - mean) / std. `reason` says whose choice that is.

    >>> usual((3, 224, 224), "an example").words
    'shorter side resized to 256, centre 224 × 224, bilinear, mean 0.485 0.456 0.406, deviation 0.229 0.224 \
0.225; an example'
    """

    resize: int
    height: int
    width: int
    interpolation: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    reason: str

    @property
    def shape(self) -> Shape:
        """Of the input, [C, H, W]."""
        return len(self.mean), self.height, self.width

    @property
    def words(self) -> str:
        mean, std = (" ".join(f"{value:.4g}" for value in values) for values in (self.mean, self.std))
        return (
            f"shorter side resized to {self.resize}, centre {self.height} × {self.width}, "
            f"{self.interpolation}, mean {mean}, deviation {std}; {self.reason}"
        )

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def usual(shape: Shape, reason: str) -> Preprocessing:
    """For inputs of `shape` [C, H, W], where nobody says what the network expects."""
    channels, height, width = shape
    whole = Preprocessing(round(max(height, width) / _SHRINK), height, width, "bilinear", _MEAN, _STD, reason)
    return whole if channels == len(_MEAN) else _grey(whole)


def _grey(of: Preprocessing) -> Preprocessing:
    """For pictures in shades of grey: the mean of the channels."""
    mean, std = ((sum(values) / len(values),) for values in (of.mean, of.std))
    return replace(of, mean=mean, std=std)


@dataclass(frozen=True)
class Adjustment:
    """What a person wants otherwise than the network is known to expect; None leaves it as it is."""

    resize: int | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        """Raises SpecError for values that nothing could be scaled by."""
        if self.resize is not None and not (type(self.resize) is int and self.resize >= 1):
            raise SpecError(f"Expected to resize to a whole number of pixels, at least 1; got {self.resize}.")
        for name, values in (("mean", self.mean), ("deviation", self.std)):
            if values is not None and not (values and all(map(_is_number, values))):
                raise SpecError(f"Expected a {name} of numbers, one a channel; got {values}.")
        if self.std is not None and min(self.std) <= 0:
            raise SpecError(f"Expected deviations above 0, of shares from 0 to 1; got {_listed(self.std)}.")

    def __bool__(self) -> bool:
        return self != Adjustment()

    def apply(self, expected: Preprocessing) -> Preprocessing:
        """`expected` with what is wanted otherwise. Raises SpecError where that does not fit the network."""
        wanted = {name: value for name, value in asdict(self).items() if value is not None}
        changed = replace(expected, **wanted)
        least, channels = max(changed.height, changed.width), len(expected.mean)
        if changed.resize < least:
            raise SpecError(
                f"Expected to resize to at least {least} pixels, which the network takes; got {self.resize}."
            )
        if {len(changed.mean), len(changed.std)} != {channels}:
            raise SpecError(
                f"Expected a mean and a deviation for each of {channels} channels; got "
                f"{len(changed.mean)} and {len(changed.std)}."
            )
        names = ["deviation" if name == "std" else name for name in wanted]
        return replace(changed, reason=f"{', '.join(names)} as asked, else {expected.reason}")

    def to_json(self) -> dict[str, Any] | None:
        """None where nothing is wanted otherwise."""
        return {name: value for name, value in asdict(self).items() if value is not None} if self else None

    @classmethod
    def from_json(cls, data: dict[str, Any] | None) -> Adjustment:
        """Inverse of `to_json`, whose tuples JSON makes lists. Raises SpecError for anything else."""
        given = data or {}
        if not isinstance(given, dict) or given.keys() - {"resize", "mean", "std"}:
            raise SpecError(f"Expected an adjustment of resize, mean or std; got {str(data)[:80]}.")
        values: dict[str, Any] = {
            name: tuple(one) if isinstance(one, list) else one for name, one in given.items()
        }
        return cls(**values)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _listed(values: Sequence[float]) -> str:
    return ", ".join(f"{value:g}" for value in values)
