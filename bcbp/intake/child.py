"""The process that reads one file of a stranger: `python -m bcbp.intake.child FILE FOLDER MEMORY SECONDS`.

It imports NumPy and safetensors alone, takes limits on itself before it looks at the file, and leaves
`answer.json` in FOLDER, with `weights.safetensors` beside it: what it hands back is never a pickle.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from bcbp.errors import ModelError
from bcbp.intake.checks import check_claims, check_values
from bcbp.intake.limits import PARAMETERS, ReaderLimits
from bcbp.intake.readers import READERS
from bcbp.intake.sniff import kind_of, odd_ending
from bcbp.intake.tensors import Contents, array_of

ANSWER, WEIGHTS = "answer.json", "weights.safetensors"
# Events of Python's audit trail that reading a file has no need of.
_FORBIDDEN = (
    "os.system",
    "os.exec",
    "os.fork",
    "os.posix_spawn",
    "os.spawn",
    "subprocess.",
    "socket.",
    "ctypes.",
)


def confine(limits: ReaderLimits) -> None:
    """Take the limits on this process, for good. Where the system has none, its parent ends it in time."""
    sys.addaudithook(_refuse)
    if sys.platform == "win32":
        return
    import resource

    for kind, most in (
        (resource.RLIMIT_AS, limits.memory),
        (resource.RLIMIT_CPU, limits.seconds),
        (resource.RLIMIT_FSIZE, 5 * PARAMETERS),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(kind)
        least = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (least, least))


def _refuse(event: str, _arguments: object) -> None:
    """The second wall: whatever a file might find to call starts no process and opens no connection."""
    if event.startswith(_FORBIDDEN):
        raise ModelError(
            "Expected a file that is only read; this one tried to run something. Do not trust it."
        )


def read(path: Path) -> tuple[str, Contents]:
    """The kind and checked contents of a file. Raises ModelError, and anything for a damaged one."""
    kind = kind_of(path)
    contents = READERS[kind](path)
    check_claims(contents)
    return kind, contents


def arrays_of(contents: Contents) -> dict[str, np.ndarray]:
    """Every tensor, checked. A storage is read once, however many tensors lie in it."""
    data = {key: storage.read() for key, storage in contents.storages.items()}
    arrays = {}
    for name, claim in contents.claims.items():
        arrays[name] = array_of(claim, data[claim.storage])
        check_values(name, arrays[name])
    return arrays


def _answer(path: Path, folder: Path) -> Mapping[str, Any]:
    kind, contents = read(path)
    if contents.storages:
        save_file(arrays_of(contents), folder / WEIGHTS)
    tensors = {name: [claim.dtype, list(claim.shape)] for name, claim in contents.claims.items()}
    notes = [*odd_ending(kind, path.name), *contents.notes]
    return {"kind": kind, "tensors": tensors, "notes": notes, "header": dict(contents.header)}


def answer(path: Path, folder: Path, limits: ReaderLimits) -> Mapping[str, Any]:
    """What was read, or the sentence that says why not."""
    try:
        return _answer(path, folder)
    except ModelError as error:
        return {"refused": str(error)}
    except MemoryError:
        most = f"{limits.memory / 2**30:.3g} GB"
        return {"refused": f"Expected a file that can be read in {most} of memory; this one needs more."}
    except Exception as error:  # a damaged file can make anything of any reader
        return {
            "refused": f"Expected a whole file; this one breaks off or is damaged ({type(error).__name__}). "
            "Copy or download it again, or save the model's state_dict again."
        }


def main(path: str, folder: str, memory: str, seconds: str) -> None:
    limits = ReaderLimits(int(memory), int(seconds))
    confine(limits)
    words = json.dumps(answer(Path(path), Path(folder), limits))
    (Path(folder) / ANSWER).write_text(words, encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
