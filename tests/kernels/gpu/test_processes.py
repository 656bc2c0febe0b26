"""The checks that need a process of their own: the interpreter, and the oldest Triton supported.

Triton decides on import whether it interprets, and a process holds one Triton. The oldest lies beside
the environment (see the Makefile); where it could not be installed, its checks are skipped and say so.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from kernels.gpu.engine import interpreted

pytest.importorskip("triton", reason="triton is not installed")
if interpreted():
    pytest.skip("this is such a process", allow_module_level=True)

ROOT = Path(__file__).resolve().parents[3]
OLDEST = Path(sys.prefix) / "triton-3.6"
# The contract of engines as well, as far as it is Triton's; its large input is for the caches of CPUs.
NUMERICS = (
    "tests/kernels/gpu/suite",
    "tests/kernels/test_engines.py",
    "-k",
    "not (test_engines and (large or not triton))",
)
NETWORKS = ("tests/bcbp/gpu_suite",)
CODE = ("tests/kernels/gpu/test_code.py",)


@dataclass(frozen=True)
class Check:
    """A run of pytest: what it runs, whether interpreted, with which Triton, and how many tests at least."""

    tests: tuple[str, ...]
    interpret: bool
    least: int
    triton: Path | None = None

    def start(self, report: Path) -> subprocess.Popen[bytes]:
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        if self.interpret:
            environment["TRITON_INTERPRET"] = "1"
        if self.triton is not None:
            environment["PYTHONPATH"] = str(self.triton)
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *self.tests]
        with report.open("wb") as output:
            return subprocess.Popen(
                command, stdout=output, stderr=subprocess.STDOUT, env=environment, cwd=ROOT
            )


CHECKS = {
    "numerics": Check(NUMERICS, interpret=True, least=250),
    "numerics, oldest triton": Check(NUMERICS, interpret=True, least=250, triton=OLDEST),
    "networks": Check(NETWORKS, interpret=True, least=40),
    "code, oldest triton": Check(CODE, interpret=False, least=50, triton=OLDEST),
}


def not_installed(check: Check) -> str | None:
    """Why the Triton of a check is missing; None if it is there."""
    if check.triton is None or (check.triton / "triton" / "__init__.py").exists():
        return None
    return f"{check.triton} holds no Triton; `make test` installs it where it can"


@pytest.fixture(scope="module")
def running(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[str, tuple[subprocess.Popen[bytes], Path]]]:
    """Every check that can run, started at once: each is busy on one core."""
    folder = tmp_path_factory.mktemp("processes")
    started = {
        name: (check.start(folder / f"{number}.txt"), folder / f"{number}.txt")
        for number, (name, check) in enumerate(CHECKS.items())
        if not_installed(check) is None
    }
    yield started
    for process, _ in started.values():
        process.kill()
        process.wait()


def passed(process: subprocess.Popen[bytes], report: Path) -> int:
    """How many tests passed. Fails with the report where one did not."""
    code = process.wait()
    text = report.read_text(errors="replace")
    if code:
        pytest.fail(f"pytest ended with {code}:\n{text}", pytrace=False)
    found = re.search(r"^(\d+) passed", text.splitlines()[-1])
    return int(found[1]) if found else 0


@pytest.mark.timeout(1200)  # on two quiet cores all of them take two minutes; machines may be busy
@pytest.mark.parametrize("name", CHECKS)
def test_every_check_passes_in_its_process(
    name: str, running: dict[str, tuple[subprocess.Popen[bytes], Path]]
) -> None:
    if (reason := not_installed(CHECKS[name])) is not None:
        pytest.skip(reason)
    assert passed(*running[name]) >= CHECKS[name].least, "some were not collected"


def test_the_oldest_triton_is_the_one_imported() -> None:
    if (reason := not_installed(CHECKS["code, oldest triton"])) is not None:
        pytest.skip(reason)
    script = "import triton, numpy; print(triton.__version__, triton.__file__, numpy.__file__)"
    environment = {**os.environ, "PYTHONPATH": str(OLDEST)}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=True
    )
    version, *files = done.stdout.split()
    assert version.startswith("3.6.")
    assert all(Path(file).is_relative_to(OLDEST) for file in files)


def test_a_check_that_fails_is_reported_with_its_output(tmp_path: Path) -> None:
    """The control: in the interpreter, a kernel that adds one too many."""
    test = tmp_path / "test_wrong.py"
    test.write_text(
        "import torch, triton, triton.language as tl\n"
        "@triton.jit\n"
        "def double(x, y):\n"
        "    tl.store(y, 2 * tl.load(x) + 1)\n"
        "def test_it_doubles():\n"
        "    x, y = torch.ones(1), torch.zeros(1)\n"
        "    double[(1,)](x, y)\n"
        "    assert y.item() == 2\n"
    )
    report = tmp_path / "report.txt"
    process = Check((str(test),), interpret=True, least=1).start(report)
    with pytest.raises(pytest.fail.Exception, match=r"pytest ended with 1:[\s\S]*assert 3.0 == 2"):
        passed(process, report)
