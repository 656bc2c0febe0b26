"""The worked examples in docstrings hold, in every module that can be imported outside a page."""

from __future__ import annotations

import doctest
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("main.py", "views")  # scripts: they draw when they are imported
FILES = [
    path.relative_to(ROOT)
    for path in sorted((ROOT / "app").rglob("*.py"))
    if ">>> " in path.read_text() and path.relative_to(ROOT).parts[1] not in PAGES
]


@pytest.mark.parametrize("path", FILES, ids=str)
def test_examples_in_docstrings_hold(path: Path) -> None:
    found = doctest.testmod(import_module(".".join(path.with_suffix("").parts)))
    assert found.attempted and not found.failed
