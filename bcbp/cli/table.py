"""Tables of plain text, aligned."""

from __future__ import annotations

from collections.abc import Sequence


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Lines with columns padded to their widest cell; columns of numbers are set flush right.

    >>> print(table(["layer", "kept"], [["conv1", "9"], ["a", "12"]]))
    layer  kept
    conv1     9
    a        12
    """
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    columns = list(zip(*rows, strict=True)) or [()] * len(header)
    right = [all(cell[:1].isdigit() or not cell for cell in column) for column in columns]
    lines = [
        "  ".join(
            cell.rjust(width) if flush else cell.ljust(width)
            for cell, width, flush in zip(row, widths, right, strict=True)
        ).rstrip()
        for row in (header, *rows)
    ]
    return "\n".join(lines)
