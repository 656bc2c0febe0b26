"""The building has three storeys and one direction: kernels <- bcbp <- app. Checked on the source text."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FORBIDDEN = {
    "kernels": {"bcbp", "app", "streamlit", "plotly"},
    "bcbp": {"app", "streamlit", "plotly", "triton", "llvmlite"},
    "app": {"triton", "llvmlite"},
}
BANNED_NAMES = {"utils", "helpers", "common", "manager", "misc"}
MODULES = [path for storey in FORBIDDEN for path in sorted((ROOT / storey).rglob("*.py"))]


def imported(source: str, *, top_level: bool = False) -> Iterator[str]:
    """Dotted names that `source` imports, wherever they stand (or outside functions only)."""
    tree = ast.parse(source)
    inner = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
    }
    for node in ast.walk(tree):
        if top_level and id(node) in inner:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield str(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


# The one script over all storeys: `python -m bcbp report` draws what the dashboard draws, so the command line
# begins above the library. The script imports that command and no more; nothing imports the script.
ROOF, ITS_VIEW = ROOT / "bcbp" / "__main__.py", "app.report_command"


def violations(storey: str, source: str) -> set[str]:
    return {name for name in imported(source) if name.split(".")[0] in FORBIDDEN[storey]}


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_imports_only_downwards(path: Path) -> None:
    allowed = {ITS_VIEW, f"{ITS_VIEW}.COMMAND"} if path == ROOF else set()
    assert violations(path.relative_to(ROOT).parts[0], path.read_text()) == allowed


def test_nobody_imports_the_script_that_may_look_up() -> None:
    assert not [path for path in MODULES if module_name(ROOF) in imported(path.read_text())]


def test_the_storey_check_can_fail() -> None:
    assert violations("kernels", "def f():\n    from bcbp.mask import Mask") == {
        "bcbp.mask",
        "bcbp.mask.Mask",
    }
    assert violations("bcbp", "import streamlit as st") == {"streamlit"}
    assert not violations("app", "from bcbp.mask import Mask")


def test_no_module_imports_itself_through_others() -> None:
    names = {module_name(path) for path in MODULES}
    graph = {
        module_name(path): {
            name for name in imported(path.read_text(), top_level=True) if name in names - {module_name(path)}
        }
        for path in MODULES
        if path.name != "__init__.py"
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"modules import each other in a circle: {error.args[1]}")


def test_no_room_is_called_utils() -> None:
    assert not [path for path in MODULES if path.stem in BANNED_NAMES]


@pytest.mark.parametrize("storey", ["kernels", "bcbp"])
def test_importing_a_storey_needs_no_optional_library(storey: str) -> None:
    script = f"import sys, {storey}; print(sorted({{'triton', 'llvmlite', 'streamlit'}} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert done.stdout.strip() == "[]"


def test_kernels_is_ours_and_has_a_version() -> None:
    import kernels

    assert Path(str(kernels.__file__)).is_relative_to(ROOT)
    assert kernels.__version__
