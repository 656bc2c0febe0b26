"""Frozen values out of JSON that somebody else wrote: each field is of its declared type, or none is made."""

from __future__ import annotations

import math
from dataclasses import MISSING, fields, is_dataclass
from datetime import datetime
from types import NoneType, UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

T = TypeVar("T")

_LONGEST_TEXT = 2000  # reasons can quote the message of a library
_MOST_ENTRIES = _MOST_LEVELS = 64
_LARGEST_WHOLE = 2**53  # beyond it JSON numbers lose digits elsewhere


class FieldError(ValueError):
    """Its words say what was expected; whoever reads the file says where."""


def read_fields(kind: type[T], data: object) -> T:
    """A `kind` (a dataclass of strings, numbers, tuples and dataclasses) with the fields of `data`.

    Raises FieldError for fields that are missing, unknown or of another type.
    """
    if not isinstance(data, dict):
        raise FieldError("an object")
    hints = get_type_hints(kind)
    known = {entry.name: entry for entry in fields(kind)}  # type: ignore[arg-type]
    needed = {name for name, entry in known.items() if entry.default is MISSING}
    if unknown := data.keys() - known.keys():
        raise FieldError(f"no field {min(map(str, unknown))!r:.40}")
    if missing := needed - data.keys():
        raise FieldError(f"a field {min(missing)!r}")
    return kind(**{name: _value(hints[name], value, name) for name, value in data.items()})


def _value(kind: Any, value: object, name: str) -> Any:
    """`value` as `kind`, a type hint. Raises FieldError."""
    options = get_args(kind) if isinstance(kind, UnionType) else (kind,)
    if value is None and NoneType in options:
        return None
    (wanted,) = (option for option in options if option is not NoneType)
    if is_dataclass(wanted):
        return read_fields(wanted, value)  # type: ignore[arg-type]
    if get_origin(wanted) is tuple:
        return _tuple(get_args(wanted), value, name)
    if get_origin(wanted) is list:
        wanted = list
    if not _fits(wanted, value):
        raise FieldError(f"{name} as {_WORDS[wanted]}")
    return float(value) if wanted is float else value  # type: ignore[arg-type]


def _tuple(kinds: tuple[Any, ...], value: object, name: str) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise FieldError(f"{name} as a list")
    if kinds[-1] is Ellipsis:
        kinds = kinds[:1] * len(value)
    if len(value) != len(kinds):
        raise FieldError(f"{name} as {len(kinds)} values")
    return tuple(_value(kind, one, name) for kind, one in zip(kinds, value, strict=True))


_WORDS = {
    str: f"text of at most {_LONGEST_TEXT} characters",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    list: "a list",
}


def _fits(wanted: Any, value: object) -> bool:
    if isinstance(value, bool):
        return wanted is bool
    if wanted is float:
        return isinstance(value, int | float) and abs(value) < 1e300 and math.isfinite(value)
    if wanted is int:
        return isinstance(value, int) and abs(value) <= _LARGEST_WHOLE
    if wanted is str:
        return isinstance(value, str) and len(value) <= _LONGEST_TEXT
    return isinstance(value, wanted)


def check_environment(data: object, *, needs: tuple[str, ...]) -> dict[str, Any]:
    """The conditions of a measurement (`kernels.device.environment`): a small table of words and numbers.

    `needs` must be there as text, "date" among them as a date. Raises FieldError.
    """
    if not isinstance(data, dict) or len(data) > _MOST_ENTRIES:
        raise FieldError("an environment")
    for name, value in data.items():
        entries = value if isinstance(value, dict) else {name: value}
        plain = all(_is_plain(entry) for entry in (name, *entries, *entries.values()))
        if len(entries) > _MOST_ENTRIES or not plain:
            raise FieldError(f"plain words and numbers under environment {name!r:.40}")
    for name in needs:
        if not isinstance(data.get(name), str) or not data[name]:
            raise FieldError(f"an environment with its {name}")
    check_date(data["date"])
    return data


def _is_plain(value: object) -> bool:
    return value is None or isinstance(value, bool) or any(_fits(kind, value) for kind in (str, int, float))


def check_date(text: str) -> None:
    """Raises FieldError unless `text` is a date in ISO 8601."""
    try:
        datetime.fromisoformat(text)
    except ValueError:
        raise FieldError("a date like 2026-11-23T12:00:00+00:00") from None


def check_plain(value: object, levels: int = _MOST_LEVELS) -> None:
    """Raises FieldError for JSON with a link or a picture of Markdown in a text: a screen may show it.

    And for JSON of more levels, which whoever walks through it later might not get to the end of.
    """
    if not levels:
        raise FieldError(f"at most {_MOST_LEVELS} levels")
    if isinstance(value, dict):
        value = [*value, *value.values()]
    if isinstance(value, list):
        for one in value:
            check_plain(one, levels - 1)
    elif isinstance(value, str) and ("](" in value or "][" in value):
        raise FieldError("plain words, without links")
