"""The replay: sliders over what was measured, and the figures of the point under them."""

from __future__ import annotations

from dataclasses import dataclass

from app.html_report.html import Html, data, element
from app.words import formats

TITLE = "Replay"
NOTE = "Recorded, not computed: the controls stop only where something was measured. Nothing is interpolated."
NOT_MEASURED = formats.NOT_MEASURED
Figure = tuple[str, str]  # what is shown, and the words under it
Points = dict[tuple[str, ...], tuple[Figure, ...]]


@dataclass(frozen=True)
class Axis:
    """One control: its `stops` in words. Names become a list, numbers a slider."""

    name: str
    stops: tuple[str, ...]
    slider: bool = True


@dataclass(frozen=True)
class Grid:
    """At every measured place, a stop of each axis, one figure for each of `figures`; where it begins."""

    axes: tuple[Axis, ...]
    figures: tuple[str, ...]
    points: Points
    start: tuple[str, ...] = ()

    def to_json(self) -> dict[str, object]:
        """Places by the numbers of their stops, since words of strangers could look like two of them."""
        return {
            "axes": [{"name": axis.name, "stops": axis.stops} for axis in self.axes],
            "figures": self.figures,
            "points": {" ".join(map(str, self._at(place))): list(one) for place, one in self.points.items()},
            "start": self._at(self.start or next(iter(self.points))),
            "missing": NOT_MEASURED,
        }

    def _at(self, place: tuple[str, ...]) -> list[int]:
        return [axis.stops.index(stop) for axis, stop in zip(self.axes, place, strict=True)]


def replay(recorded: str, grid: Grid) -> Html:
    """Nothing before something is measured; shown by the script, and never printed."""
    if not grid.points:
        return Html("")
    return element(
        "section",
        element("h2", TITLE),
        element("p", element("strong", recorded), ". ", NOTE, class_="recorded"),
        element("div", *(_control(axis) for axis in grid.axes), class_="controls"),
        element("div", *(_figure(name) for name in grid.figures), class_="figures", aria_live="polite"),
        data("grid", grid.to_json()),
        id="replay",
        class_="screen-only",
        hidden=True,
    )


def _control(axis: Axis) -> Html:
    name = f"replay-{axis.name}"
    if not axis.slider:
        return element("label", axis.name.capitalize(), element("select", id=name))
    return element(
        "label",
        axis.name.capitalize(),
        Html(f'<input type="range" min="0" step="1" id="{name}">'),
        element("output", id=f"{name}-shown", for_=name),
    )


def _figure(name: str) -> Html:
    value, under = (element(tag, id=f"replay-{name}{end}") for tag, end in (("b", ""), ("small", "-under")))
    return element("div", element("span", name.capitalize()), value, under, class_="metric")
