"""Checkpoints of a training: one file that is whole or not there, and checked when it is read."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from bcbp.errors import BcbpError
from bcbp.files import is_disk_full, replace_file

State = dict[str, Any]

_MAGIC = b"bcbp checkpoint 1\n"
_DIGEST_BYTES = hashlib.sha256().digest_size


class CheckpointError(BcbpError):
    """A checkpoint that cannot be written, or that is not what was written."""


def save_checkpoint(path: Path, state: State) -> None:
    """Replace `path` by `state`: tensors, numbers and text, nested in dicts and lists.

    Raises CheckpointError when there is no room or no permission; the former checkpoint is whole then.
    """
    buffer = io.BytesIO()
    torch.save(state, buffer)
    content = buffer.getbuffer()
    _write(path, _MAGIC, hashlib.sha256(content).digest(), content)


def save_weights(path: Path, weights: Mapping[str, Tensor]) -> None:
    """Replace `path` by the tensors as safetensors, which load into the original class. As above."""
    _write(path, save({name: value.contiguous() for name, value in weights.items()}))


def _write(path: Path, *parts: bytes | memoryview) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, *parts)
    except OSError as error:
        cause = "the disk is full" if is_disk_full(error) else str(error.strerror)
        raise CheckpointError(
            f"Expected to write {path}, but {cause}. What was there before is kept: make room and ask for "
            "the same again, and it goes on from there."
        ) from error


def load_checkpoint(path: Path) -> State | None:
    """What was saved at `path`, on the processor; None if nothing was. Nothing in it is executed.

    Raises CheckpointError for a file that is not, byte by byte, what was written.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    body = memoryview(content)[len(_MAGIC) + _DIGEST_BYTES :]
    head = _MAGIC + hashlib.sha256(body).digest()
    if not content.startswith(head):
        raise CheckpointError(
            f"Expected a checkpoint of this version; {path} is damaged or something else. "
            "Delete it to start over, or name another place."
        )
    state: State = torch.load(io.BytesIO(body), map_location="cpu", weights_only=True)
    return state
