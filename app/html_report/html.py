"""HTML that cannot be broken out of: whatever is not already `Html` is escaped on its way in."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any


class Html(str):
    """Text that is markup already."""


def element(name: str, *children: str, **attributes: str | bool) -> Html:
    """`class_` becomes class, `data_x` data-x; True is an attribute without a value, False none.

    >>> element("p", "a < b", element("b", "!"), class_="note", hidden=True)
    '<p class="note" hidden>a &lt; b<b>!</b></p>'
    """
    told = "".join(_attribute(key, value) for key, value in attributes.items() if value is not False)
    return Html(f"<{name}{told}>{join(*children)}</{name}>")


def _attribute(key: str, value: str | bool) -> str:
    name = key.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{escape(str(value))}"'


def join(*children: str) -> Html:
    return Html("".join(child if isinstance(child, Html) else escape(child) for child in children))


_PRIVATE = 0xE000  # of characters without a meaning: where signs wait that are no Markdown


def prose(text: str) -> Html:
    r"""What pages show as Markdown: strong, emphasis, code, and signs that a backslash keeps as they are.

    >>> print(prose(r"**Paper**: *lost* & gained in `conv`, a\*b\<"))
    <strong>Paper</strong>: <em>lost</em> &amp; gained in <code>conv</code>, a*b&lt;
    """
    told = escape(re.sub(r"\\([!-/:-@\[-`{-~])", lambda sign: chr(_PRIVATE + ord(sign[1])), text))
    for mark, tag in ((r"\*\*", "strong"), (r"\*", "em"), ("`", "code")):
        told = re.sub(f"{mark}(.+?){mark}", rf"<{tag}>\1</{tag}>", told)
    return Html(re.sub("[\ue000-\ue07f]", lambda sign: escape(chr(ord(sign[0]) - _PRIVATE)), told))


def definitions(entries: Sequence[tuple[str, str]]) -> Html:
    """A list of (term, what is said of it); entries of which nothing is said are left out."""
    told = [(element("dt", term), element("dd", text)) for term, text in entries if text]
    return element("dl", *(part for pair in told for part in pair))


_ON_ONE_SHEET = 16  # lines of a table that paper does not break


def table(lines: Sequence[Mapping[str, str]], caption: str) -> Html:
    """A table that scrolls sideways where it does not fit; the first column names the line."""
    if not lines:
        return Html("")
    head = element("tr", *(element("th", name, scope="col") for name in lines[0]))
    body = [
        element("tr", *(element("td" if at else "th", cell) for at, cell in enumerate(line.values())))
        for line in lines
    ]
    whole = element("table", element("caption", caption), element("thead", head), element("tbody", *body))
    return element(
        "div", whole, class_="scroll whole" if len(lines) <= _ON_ONE_SHEET else "scroll", tabindex="0"
    )


def data(identity: str, value: Any) -> Html:
    """JSON for a script to read; no text in it can end the element."""
    text = json.dumps(value, sort_keys=True).replace("<", "\\u003c")
    return Html(f'<script type="application/json" id="{escape(identity)}">{text}</script>')
