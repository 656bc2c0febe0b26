"""A coverage-guided fuzzer of the reader of uploads: `python -m tests.fuzz.intake CORPUS_FOLDER`.

Needs atheris (`pip install atheris`), which the tests do without. CORPUS_FOLDER is filled with
`python -m tests.bcbp.intake.corpus CORPUS_FOLDER` at first; `-max_total_time=300` ends it after five minutes.
What it finds is written to the working folder, and becomes a case of that corpus.

A finding is code that ran (Python's audit trail tells), or an error that is none of those a damaged file may
make of its reader: the reader's process would survive it, but nobody has thought of it.
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
import zlib
from pathlib import Path
from pickle import UnpicklingError
from zipfile import BadZipFile

import atheris

with atheris.instrument_imports(include=["bcbp.intake", "pickle", "zipfile", "safetensors"]):
    from bcbp.errors import ModelError
    from bcbp.intake.child import arrays_of, read

ENDINGS = (".pt", ".onnx")  # the only name that matters is ONNX's
RAN = ("os.system", "os.exec", "os.fork", "os.posix_spawn", "subprocess.", "socket.", "ctypes.")
# What damaged files are known to make of readers; an OSError is zipfile's, that looks before a file's start.
EXPECTED = (
    *(ModelError, UnpicklingError, BadZipFile, ValueError, TypeError, LookupError, AttributeError),
    *(ArithmeticError, EOFError, OSError, RuntimeError, MemoryError, zlib.error),
)


class CodeRan(BaseException):
    """Not an Exception: no reader may swallow it."""


def watch(event: str, _arguments: object) -> None:
    if event.startswith(RAN):
        raise CodeRan(event)


def one_input(data: bytes) -> None:
    path = Path(tempfile.gettempdir()) / f"fuzzed-{len(data) % 2}{ENDINGS[len(data) % 2]}"
    path.write_bytes(data)
    with contextlib.suppress(*EXPECTED):
        _, contents = read(path)
        arrays_of(contents)


if __name__ == "__main__":
    atheris.Setup(sys.argv, one_input)
    sys.addaudithook(watch)
    atheris.Fuzz()
