"""Three ways in, for three people: each sets the order of the pages, their names, and where it begins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import streamlit as st

from app.state.keys import DOOR


@dataclass(frozen=True)
class Door:
    """One way in: `pages` in its order, the first is where it leads; `titles` are its words for them.

    `labels` are its words for the scope bar's widgets; `sample` brings the bundled model back into scope.
    """

    name: str
    title: str
    promise: str
    enter: str
    icon: str
    pages: tuple[str, ...]
    titles: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    sample: bool = False

    def title_of(self, page: str) -> str:
        return self.titles.get(page, page.capitalize())


TUNE = Door(
    "tune",
    "Tune ratios",
    "Set each layer's ratio, see its mask at once, then measure.",
    "Open the table",
    "tune",
    ("tune", "masks", "run", "compare", "device", "model", "idea"),
)
DEVICE = Door(
    "device",
    "Does it pay on my device?",
    "Measure this machine: which layers win, which lose, and from which ratio on.",
    "Measure this machine",
    "memory",
    ("device", "run", "compare", "tune", "masks", "model", "idea"),
    titles={"device": "Does it pay?", "run": "Measure", "compare": "Verdict"},
)
IDEA = Door(
    "idea",
    "Show me the idea",
    "A picture of the method, and what it brought, in plain words.",
    "See the picture",
    "lightbulb",
    ("idea", "compare", "masks", "run", "device", "tune", "model"),
    titles={
        "compare": "What it brings",
        "masks": "Look inside",
        "run": "Try it live",
        "device": "Where it pays",
        "tune": "Adjust",
        "model": "Networks",
    },
    labels={
        "model": "Network",
        "method": "Way of pruning",
        "tile": "Filters in a tile",
        "ratio": "Share removed",
    },
    sample=True,
)
# Who came through none: the order of work.
NONE = Door("", "", "", "", "", ("model", "tune", "masks", "run", "compare", "device", "idea"))
DOORS: dict[str, Door] = {door.name: door for door in (TUNE, DEVICE, IDEA)}


def current() -> Door:
    """The door that this session, or its link, came through."""
    asked = st.session_state.get(DOOR, st.query_params.get(DOOR))
    return DOORS.get(str(asked), NONE)


def choose(door: Door) -> None:
    """Go on through this one."""
    st.session_state[DOOR] = door.name
