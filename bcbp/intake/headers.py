"""What a safetensors file says of itself beside its tensors, and how a file of our masks is known by it."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

from bcbp.errors import ModelError
from bcbp.intake.limits import HEADER_BYTES

MASKS_FORMAT = "bcbp-masks"  # under "format"


def metadata_of(path: Path) -> dict[str, str]:
    """Words by name; none where the header cannot be read. Raises ModelError for one that is too large."""
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        if size > path.stat().st_size:  # broken off, which its reader says
            return {}
        if size > HEADER_BYTES:
            raise ModelError(
                f"Expected a header of at most {HEADER_BYTES >> 20} MB; got {size / 2**20:.0f} MB. "
                "Save the tensors alone."
            )
        with suppress(ValueError, RecursionError, AttributeError):
            words = json.loads(file.read(size)).get("__metadata__", {})
            return {name: value for name, value in words.items() if isinstance(value, str)}
    return {}
