"""What a passport says of the layers of one model: a passport of those rows, with two fields beside it.

"layers": [{"geometry", "plane", "count"}], the distinct layers in the order of execution with how often the
model has each, measured or not, and "request": what was asked for, null where it was only looked at.
A passport is such a report, too: of all its layers, each counted once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from bcbp.device_request import DeviceRequest
from bcbp.fields import FieldError, read_fields
from bcbp.passport import Passport
from kernels.layers import LayerShape, named
from kernels.layout import ConvGeometry, Pair

Json = dict[str, Any]


@dataclass(frozen=True)
class _Counted:
    geometry: ConvGeometry
    plane: Pair
    count: int


def device_report(
    passport: Passport, layers: Mapping[LayerShape, int], request: DeviceRequest | None = None
) -> Json:
    """The report as JSON; `layers` with how often the model has each. A request is for one width of tiles."""
    places = {shape.place for shape in layers}
    rows = tuple(
        row
        for row in passport
        if row.shape.place in places
        and (request is None or row.row.tile == min(request.tile, row.shape.geometry.rows))
    )
    counted = [asdict(_Counted(shape.geometry, shape.plane, count)) for shape, count in layers.items()]
    asked = request.to_json() if request else None
    return replace(passport, rows=rows).to_json() | {"layers": counted, "request": asked}


def layers_of(report: Json, passport: Passport) -> dict[LayerShape, int]:
    """The layers of a report, whose passport is read already, and how often each counts.

    Raises FieldError.
    """
    if "layers" not in report:
        return dict.fromkeys((row.shape for row in passport), 1)
    if not isinstance(report["layers"], list):
        raise FieldError("layers as a list")
    counted = [read_fields(_Counted, layer) for layer in report["layers"]]
    if any(layer.count < 1 or min(layer.geometry.output_size(*layer.plane)) < 1 for layer in counted):
        raise FieldError("layers that the model has, with planes that their kernels fit")
    return {named(layer.geometry, layer.plane): layer.count for layer in counted}
