"""What every line of a table of choices says of itself; widgets and help texts are made from it."""

from __future__ import annotations

from typing import Protocol


class Entry(Protocol):
    """`name` is what requests and links say, `title` what people read, `description` a sentence or two."""

    @property
    def name(self) -> str: ...

    @property
    def title(self) -> str: ...

    @property
    def description(self) -> str: ...
