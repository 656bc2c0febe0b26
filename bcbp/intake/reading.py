"""Reads a file of strangers in a process of its own, with limits, that hands back nothing but tensors."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bcbp.errors import ModelError
from bcbp.files import read_json
from bcbp.intake.child import ANSWER, WEIGHTS
from bcbp.intake.limits import ReaderLimits

ROOT = Path(__file__).resolve().parent.parent.parent
COMMAND = (sys.executable, "-m", "bcbp.intake.child")
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Reading:
    """What a file holds: its kind (see `bcbp.intake.sniff`), shapes and dtypes of its tensors, remarks.

    `weights` is a safetensors file of them, floats as float32; None where the file is only looked at.
    `header` is what a file of masks says of itself.
    """

    kind: str
    shapes: dict[str, Shape]
    dtypes: dict[str, str]
    notes: tuple[str, ...]
    weights: Path | None
    header: Mapping[str, str] = field(default_factory=dict)


def read_file(path: Path, folder: Path, *, limits: ReaderLimits = ReaderLimits()) -> Reading:  # noqa: B008
    """What `path` holds; its weights are written into `folder`. Nothing that the file names is executed.

    Raises ModelError with one sentence for every file that cannot be read, whatever it does to its reader.
    """
    if not path.is_file():
        raise ModelError(f"Expected a file of weights at {path}; there is none. Check the path.")
    code = _run(path.resolve(), folder.resolve(), limits)
    answer = read_json(folder / ANSWER) if code == 0 else None
    if answer is None:
        raise ModelError(_how_it_ended(code, limits))
    if "refused" in answer:
        raise ModelError(answer["refused"])
    return reading_of(answer, folder)


def reading_of(answer: dict[str, object], folder: Path) -> Reading:
    """A reading from the answer of its process and the folder with its weights."""
    tensors: dict[str, tuple[str, list[int]]] = answer["tensors"]  # type: ignore[assignment]
    weights = folder / WEIGHTS
    return Reading(
        kind=str(answer["kind"]),
        shapes={name: tuple(shape) for name, (_, shape) in tensors.items()},
        dtypes={name: dtype for name, (dtype, _) in tensors.items()},
        notes=tuple(answer["notes"]),  # type: ignore[arg-type]
        weights=weights if weights.exists() else None,
        header=answer.get("header", {}),  # type: ignore[arg-type]
    )


def _run(path: Path, folder: Path, limits: ReaderLimits) -> int | None:
    """The exit code of the reader; None if its time was up."""
    command = [*COMMAND, str(path), str(folder), str(limits.memory), str(limits.seconds)]
    environment = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT") if name in os.environ}
    # One thread: a pool of them would each reserve address space out of what the file may take.
    environment |= {"PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    try:
        return subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            timeout=limits.seconds,
        ).returncode
    except subprocess.TimeoutExpired:
        return None


def _how_it_ended(code: int | None, limits: ReaderLimits) -> str:
    """The sentence for a reader that could not give one itself."""
    if code is None or code == -getattr(signal, "SIGXCPU", 0) or code == -getattr(signal, "SIGKILL", 0):
        return (
            f"Expected a file that is read in {limits.seconds} seconds; this one takes longer. "
            "Save the model's state_dict and upload that."
        )
    how = f"exit code {code}" if code >= 0 else signal.Signals(-code).name
    return f"Expected a file that can be read; this one ended its reader ({how}). Do not trust it."
