"""Masks painted in the browser from packed bits: zoom, pan and hover without a rerun."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st
from torch import Tensor

from bcbp.geometry import LayerInfo
from bcbp.mask import Mask

# Bytes of bits in one message: four masks of 512 x 4608 in tiles of 32, bit by bit, and a little more. The
# script of the canvas (15 KiB) and the rest of a page fit beside them in the 64 KiB of a rerun.
EXACT_BYTES = 38 * 1024
# Wider masks as bins, one byte each: about one to a pixel on a large screen.
BIN_BYTES = 20 * 1024
MAGNITUDE_BINS = 4 * 1024

_FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Magnitude:
    """Scores of column vectors, float [tiles, K], of tiles of `tile` filters, which lie as in the mask."""

    tile: int
    scores: Tensor


@dataclass(frozen=True)
class Panel:
    """One mask of the layer under its method's name and colour (#RRGGBB).

    `magnitude`, if given, sets the strength of the colour of what is kept.
    """

    method: str
    title: str
    color: str
    mask: Mask
    magnitude: Magnitude | None = None


@dataclass(frozen=True)
class Window:
    """The columns `first` to `last` (exclusive) of the GEMM view that are shown."""

    first: int
    last: int

    @property
    def columns(self) -> int:
        return self.last - self.first


class Picture:
    """What the canvas needs: a JSON `header` whose [offset, length] pairs point into the bytes of `body`."""

    def __init__(self) -> None:
        self.header: dict[str, Any] = {}
        self.body = b""

    def add(self, array: np.ndarray) -> tuple[int, int]:
        """Put the array's bytes into the body, once; gives where they are."""
        data = np.ascontiguousarray(array).tobytes()
        if (found := self.body.find(data)) >= 0:
            return found, len(data)
        self.body += data
        return len(self.body) - len(data), len(data)

    def message(self, **header: Any) -> bytes:
        """Header (with these fields added), line feed, body: raw bytes, a quarter less than base64."""
        return json.dumps(self.header | header).encode() + b"\n" + self.body


def exact_columns(panels: tuple[Panel, ...]) -> int:
    """The widest window of columns whose masks fit the budget bit by bit."""
    tiles = sum(len(panel.mask.keep) for panel in panels)
    return EXACT_BYTES // tiles * 8


def picture(
    panels: tuple[Panel, ...],
    info: LayerInfo,
    *,
    window: Window | None = None,
) -> Picture:
    """What the canvas needs to paint `panels`, in little more than EXACT_BYTES.

    Masks that fit go bit by bit; wider ones as exact counts over equal bins of columns (and tiles).
    """
    window = window or Window(0, info.columns)
    exact = window.columns <= exact_columns(panels)
    share = None if exact else BIN_BYTES // len(panels)
    made = Picture()
    made.header = {
        "layer": info.name,
        "filters": info.rows,
        "columns": info.columns,
        "first": window.first,
        "last": window.last,
        "kernel": info.geometry.kernel,
        "groups": info.geometry.groups,
        "inputs": info.geometry.in_channels,
        "exact": exact,
        "panels": [_panel(made, panel, window, share) for panel in panels],
    }
    shaded = len({panel.mask.order.numpy().tobytes() for panel in panels if panel.magnitude})
    for panel, header in zip(panels, made.header["panels"], strict=True):
        if panel.magnitude is not None:
            header["magnitude"] = _magnitude(made, panel.magnitude, window, MAGNITUDE_BINS // shaded)
    return made


def _panel(made: Picture, panel: Panel, window: Window, budget: int | None) -> dict[str, Any]:
    mask = panel.mask
    keep = mask.keep[:, window.first : window.last].numpy()
    counts, per_count = _edge_counts(mask)
    return (_bits(made, keep) if budget is None else _bins(made, keep, budget)) | {
        "method": panel.method,
        "title": panel.title,
        "color": panel.color,
        "tile": mask.tile.rows,
        "tiles": len(mask.keep),
        "counts": counts,
        "per_count": per_count,
        "rows": None if bool(mask.rows.all()) else made.add(np.packbits(mask.rows[mask.order].numpy())),
        "order": made.add(mask.order.numpy().astype("<u2")) if mask.permuted else None,
        "magnitude": None,
        "balanced": mask.balanced,
        "sparsity": mask.sparsity,
    }


def _bits(made: Picture, keep: np.ndarray) -> dict[str, Any]:
    """Rows of whole bytes, most significant bit first."""
    return {"bits": made.add(np.packbits(keep, axis=1)), "bins": None}


def _bins(made: Picture, keep: np.ndarray, budget: int) -> dict[str, Any]:
    """The kept share of every bin as one byte; bins are equal but for the last of a row or column."""
    tiles, columns = keep.shape
    high = -(-tiles // max(1, min(tiles, int(np.sqrt(budget / 2)))))
    across = max(1, budget // -(-tiles // high))
    wide = -(-columns // across)
    counts = bin_counts(keep, high, wide)
    areas = np.outer(_sizes(tiles, high), _sizes(columns, wide))
    return {
        "bits": None,
        "bins": made.add(np.round(255 * counts / areas).astype(np.uint8)),
        "bin": [high, wide],
    }


def bin_counts(keep: np.ndarray, high: int, wide: int) -> np.ndarray:
    """Kept cells in bins of `high` tiles x `wide` columns, int64: exact, so nothing aliases."""
    cells = np.ascontiguousarray(keep).view(np.uint8)
    across = np.add.reduceat(cells, np.arange(0, keep.shape[1], wide), axis=1, dtype=np.int64)
    return np.add.reduceat(across, np.arange(0, keep.shape[0], high), axis=0)


def _sizes(count: int, step: int) -> np.ndarray:
    starts = np.arange(0, count, step)
    return np.minimum(step, count - starts)


def _edge_counts(mask: Mask) -> tuple[list[int], int]:
    """Columns kept per tile, or for very many tiles the mean over groups of tiles, with the group's size."""
    kept = mask.kept_per_tile.numpy()
    group = -(-len(kept) // 256)
    means = np.add.reduceat(kept, np.arange(0, len(kept), group)) / _sizes(len(kept), group)
    return np.round(means).astype(int).tolist(), group


def _magnitude(made: Picture, magnitude: Magnitude, window: Window, budget: int) -> dict[str, Any]:
    """Mean score per bin, as bytes of the largest bin."""
    shown = magnitude.scores[:, window.first : window.last].double().numpy()
    tiles, columns = shown.shape
    high = -(-tiles // 64)
    wide = -(-columns // max(1, budget // -(-tiles // high)))
    sums = np.add.reduceat(shown, np.arange(0, tiles, high), axis=0)
    sums = np.add.reduceat(sums, np.arange(0, columns, wide), axis=1)
    means = sums / np.outer(_sizes(tiles, high), _sizes(columns, wide))
    bins = np.round(255 * means / (means.max() or 1.0)).astype(np.uint8)
    return {"bins": made.add(bins), "bin": [high, wide], "tiles": tiles, "tile": magnitude.tile}


def _source(name: str) -> str:
    """A file beside this one without indentation and whole-line comments: it is sent with every repaint."""
    lines = (line.strip() for line in (_FOLDER / name).read_text().splitlines())
    return "\n".join(line for line in lines if line and not line.startswith("//"))


_CSS, _JS = _source("mask_canvas.css"), _source("mask_canvas.js")


def mask_canvas(shown: Picture, *, key: str, alt: str, panel_height: int = 150, tools: bool = True) -> None:
    """Paint `picture(...)`; `alt` is for screen readers, `tools` are the zoom buttons and their hint."""
    # Not once at import: Streamlit 1.65 forgets a component when another runtime starts, as in every AppTest.
    mount = st.components.v2.component(
        "bcbp_mask_canvas", html='<div class="frame"></div>\n', css=_CSS, js=_JS
    )
    mount(key=key, data=shown.message(alt=alt, panel_height=panel_height, tools=tools))
