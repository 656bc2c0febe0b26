"""How much an uploaded file may be and may cost; the dashboard's uploader says the first of these, too."""

from __future__ import annotations

from dataclasses import dataclass

FILE_BYTES = 500 << 20  # server.maxUploadSize in .streamlit/config.toml is the same
ENTRIES = 20_000  # tensors in a file, files in an archive
PARAMETERS = 300_000_000
NAME_LENGTH = 200

# A zip of pictures. They are packed already and hardly shrink; bitmaps of one colour shrink to a thousandth,
# which nothing but an attack needs.
PICTURES = 100_000
PICTURE_PIXELS = 64 << 20
ALL_PIXELS = 20_000_000_000  # 500 MB of photographs have a few billion; more keep the server busy for long
UNPACKED_BYTES, UNPACKED_RATIO = 4 * FILE_BYTES, 200

# Far above any checkpoint met, far below what would hurt: pickles and headers name tensors, they hold none.
PICKLE_BYTES = HEADER_BYTES = 32 << 20
OPCODES = 2_000_000
NODES, DEPTH = 200_000, 64


@dataclass(frozen=True)
class ReaderLimits:
    """What the process that reads a file may take.

    Address space in bytes: the file, its float32 weights and a copy for writing come to 3 GiB at most.
    `seconds` of the clock; of the processor, too.
    """

    memory: int = 4 << 30
    seconds: int = 60
