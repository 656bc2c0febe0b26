"""What was measured on one device, as one frozen value: JSON both ways, checked where it enters.

{"kind": KIND, "schema": 1, "device", "environment", "rates": [{"name", "value", "unit"}], "rows": [row]}

A row is `kernels.bench.LayerRow` with what makes the layer the same on any model, "geometry" and "plane",
and with the "date" and "commit" it was measured at. Reading executes nothing: JSON in, checked values out.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeVar

from bcbp.errors import BcbpError
from bcbp.fields import FieldError, check_date, check_environment, read_fields
from kernels.bench import LayerRow
from kernels.device import processor
from kernels.layers import LayerShape, named
from kernels.layout import ConvGeometry, Pair
from kernels.measure import BETTER, CANNOT_TELL, WORSE

KIND, SCHEMA = "bcbp-device-passport", 1
# the pattern whose verdicts say whether pruning pays
PATTERN = "bcbp"
# 40 layers at 4 ratios, 3 batch sizes and 3 tiles with 5 patterns and the dense forms take 7 MB.
MAX_BYTES = 8 * 2**20
# device -> the entry of the environment that names it
HARDWARE = {"cpu": "cpu", "cuda": "gpu"}
UNITS = ("FLOP/s", "B/s")
Json = dict[str, Any]
T = TypeVar("T")
Place = tuple[ConvGeometry, Pair]
_AGAIN = "Export it once more where it was measured."


class PassportError(BcbpError):
    """A file that is no device passport, is damaged, or comes from a newer version."""


@dataclass(frozen=True)
class Rate:
    """A measured ceiling: `value` in FLOP/s (a multiply-add is two) or bytes per second."""

    name: str
    value: float
    unit: str


@dataclass(frozen=True)
class MeasuredLayer:
    """One timed candidate of one layer, with when and at which commit."""

    shape: LayerShape
    row: LayerRow
    date: str
    commit: str | None

    @property
    def key(self) -> tuple[object, ...]:
        """What it is a measurement of."""
        row = self.row
        return (*self.shape.place, row.batch, row.dtype, row.tile, row.ratio, row.pattern)

    def to_json(self) -> Json:
        where = {"geometry": asdict(self.shape.geometry), "plane": list(self.shape.plane)}
        return where | {"date": self.date, "commit": self.commit} | self.row.to_json()

    @classmethod
    def from_json(cls, data: Json) -> MeasuredLayer:
        """Inverse of `to_json`; the layer's name is made anew from its sizes. Raises FieldError."""
        outer = {"geometry", "plane", "date", "commit"}
        if not isinstance(data, dict) or not outer <= data.keys():
            raise FieldError(f"an object with {', '.join(sorted(outer))}, among others")
        place = read_fields(_Outer, {name: data[name] for name in outer})
        row = read_fields(LayerRow, {name: value for name, value in data.items() if name not in outer})
        check_date(place.date)
        _check_layer(place.geometry, place.plane)
        _check_row(row)
        shape = named(place.geometry, place.plane)
        return cls(shape, replace(row, layer=shape.name), place.date, place.commit)


@dataclass(frozen=True)
class _Outer:
    geometry: ConvGeometry
    plane: Pair
    date: str
    commit: str | None


def device_name(device: str, environment: Mapping[str, Any]) -> str:
    """The device as its vendor names it, a processor with its instruction set."""
    return processor(environment) if device == "cpu" else str(environment[HARDWARE[device]])


@dataclass(frozen=True)
class Passport:
    """One device (`device` is cpu or cuda) in one environment: its ceilings and its measured layers."""

    device: str
    environment: Mapping[str, Any]
    rates: tuple[Rate, ...] = ()
    rows: tuple[MeasuredLayer, ...] = ()

    def __iter__(self) -> Iterator[MeasuredLayer]:
        return iter(self.rows)

    @property
    def name(self) -> str:
        return device_name(self.device, self.environment)

    @property
    def commits(self) -> tuple[str, ...]:
        """Every commit that a row was measured at, in the order of rows."""
        return tuple(dict.fromkeys(row.commit for row in self.rows if row.commit))

    @property
    def dates(self) -> tuple[str, str]:
        """When the first and the last row were measured; the environment's date where there is no row."""
        dates = [row.date for row in self.rows] or [str(self.environment["date"])]
        return min(dates), max(dates)

    def with_row(self, measured: MeasuredLayer) -> Passport:
        """With that row added, in place of an older one of the same thing."""
        others = tuple(row for row in self.rows if row.key != measured.key)
        return replace(self, rows=(*others, measured))

    def to_json(self) -> Json:
        return {
            "kind": KIND,
            "schema": SCHEMA,
            "device": self.device,
            "environment": dict(self.environment),
            "rates": [asdict(rate) for rate in self.rates],
            "rows": [row.to_json() for row in self.rows],
        }

    @classmethod
    def from_json(cls, data: object) -> Passport:
        """Inverse of `to_json`. Raises PassportError in one sentence for whatever else arrives."""
        _check_kind(data)
        assert isinstance(data, dict)
        try:
            head = read_fields(_Head, {name: data.get(name) for name in ("device", "rates", "rows")})
            _check(head.device in HARDWARE, f"a device out of {', '.join(HARDWARE)}")
            environment = check_environment(data.get("environment"), needs=(HARDWARE[head.device], "date"))
            rates = _each("ceiling", head.rates, _read_rate)
            rows = _each("row", head.rows, MeasuredLayer.from_json)
            _check(len({row.key for row in rows}) == len(rows), "each measurement once")
        except FieldError as error:
            raise PassportError(f"The passport is damaged: expected {error}. {_AGAIN}") from None
        return cls(head.device, environment, rates, rows)


@dataclass(frozen=True)
class _Head:
    device: str
    rates: list[Any]
    rows: list[Any]


def _each(label: str, entries: list[Any], read: Callable[[Any], T]) -> tuple[T, ...]:
    """Every entry as `read` gives it; its FieldError then says which entry it is."""
    found = []
    for number, entry in enumerate(entries, start=1):
        try:
            found.append(read(entry))
        except FieldError as error:
            raise FieldError(f"{error} in {label} {number}") from None
    return tuple(found)


def check_size(size: int) -> None:
    """Raises PassportError for a file of more than MAX_BYTES, which is not to be read at all."""
    if size > MAX_BYTES:
        raise PassportError(
            f"Expected a device passport of at most {MAX_BYTES >> 20} MB; got {size / 2**20:.1f} MB. "
            "Export one with fewer layers."
        )


def read_passport(content: bytes) -> Passport:
    """The passport in a file's bytes. Raises PassportError in one sentence for anything else."""
    check_size(len(content))
    try:
        data = json.loads(content.decode())
    except (ValueError, RecursionError):  # UnicodeDecodeError and JSONDecodeError among them
        raise PassportError(
            f"Expected a device passport in JSON; got a file that is damaged or of another kind. {_AGAIN}"
        ) from None
    return Passport.from_json(data)


def _check_kind(data: object) -> None:
    if not isinstance(data, dict) or data.get("kind") != KIND:
        raise PassportError(
            "Expected a device passport as the Device page exports it; got another kind of JSON file. "
            "Choose the file that its Export button wrote."
        )
    schema = data.get("schema")
    if isinstance(schema, int) and schema > SCHEMA:
        raise PassportError(
            f"Expected a device passport of schema {SCHEMA}; got schema {schema}, of a newer version. "
            "Update this product to read it."
        )
    if schema != SCHEMA or isinstance(schema, bool):
        raise PassportError(f"The passport is damaged: expected a schema of {SCHEMA}. {_AGAIN}")


def _check(holds: bool, expected: str) -> None:
    if not holds:
        raise FieldError(expected)


def _read_rate(data: object) -> Rate:
    rate = read_fields(Rate, data)
    _check(rate.value > 0 and rate.unit in UNITS, f"a positive rate in {' or '.join(UNITS)}")
    return rate


def _check_layer(geometry: ConvGeometry, plane: Pair) -> None:
    pairs = (*geometry.kernel, *geometry.stride, *geometry.dilation, *plane)
    sizes = (geometry.in_channels, geometry.out_channels, geometry.groups, *pairs)
    _check(min(sizes) >= 1 and min(geometry.padding) >= 0, "positive sizes")
    whole = geometry.in_channels % geometry.groups == 0 == geometry.out_channels % geometry.groups
    _check(whole, "groups that divide the channels")
    _check(min(geometry.output_size(*plane)) >= 1, "a plane that the kernel fits")


def _check_row(row: LayerRow) -> None:
    _check(row.batch >= 1 and row.tile >= 1, "a batch and a tile of at least 1")
    _check(0 <= row.ratio < 1 and 0 < row.density <= 1, "a ratio in [0, 1) and a density in (0, 1]")
    if row.median_ms is None:
        _check(row.speedup is None and row.verdict is None, "no verdict without a time")
        return
    if row.q1_ms is None or row.q3_ms is None:
        raise FieldError("quartiles for every time")
    _check(0 < row.q1_ms <= row.median_ms <= row.q3_ms, "positive times, the median between its quartiles")
    if row.speedup is None or row.interval is None or row.verdict is None:
        raise FieldError("a speed-up with its interval and verdict for every time")
    low, high = row.interval
    _check(0 < low <= high and row.speedup > 0, "a positive speed-up and interval")
    agrees = {BETTER: low > 1, WORSE: high < 1, CANNOT_TELL: True}
    _check(agrees.get(row.verdict, False), "a verdict that its interval supports")
