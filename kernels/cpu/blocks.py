"""Cuts an output plane into register blocks of pixels and says which taps each block may read.

A block is a handful of neighbouring output pixels computed together. Its pixels lie at fixed distances from
the first, so the distances are constants of the generated code (a `Layout`); blocks of one layout share
code. At the border of the plane some taps (r, s) fall into the padding for some pixels: these pixels leave
the loop over that tap's columns altogether, so zero padding costs neither a copy nor a product.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from kernels.layout import ConvGeometry, Pair

FLOAT = 4  # bytes

Pixels = tuple[Pair, ...]
Path = tuple[int, ...]
Group = tuple[int, int, int]


@dataclass(frozen=True)
class Layout:
    """Where a block's pixels lie: byte distances from its first one in the input (`x`) and output (`y`).

    `paths` are the sets of pixels (by number) that occur together inside the plane; one loop is generated
    for each, and one for all pixels where every tap lies in the padding.
    """

    x: tuple[int, ...]
    y: tuple[int, ...]
    paths: tuple[Path, ...]


@dataclass(frozen=True)
class Block:
    """One block: its layout's number, byte offsets of its first pixel, and the taps it reads.

    A group (first, end, path) says: for taps first <= r * kw + s < end, the pixels of `path` are inside the
    plane.
    """

    layout: int
    x: int
    y: int
    groups: tuple[Group, ...]


@dataclass(frozen=True)
class BlockPlan:
    """All blocks of one image, and how many such images: 1 where the pixels of all images form one line."""

    layouts: tuple[Layout, ...]
    blocks: tuple[Block, ...]
    images: int
    output: Pair


def split(total: int, most: int) -> list[int]:
    """`total` in the fewest parts of at most `most`, as even as possible.

    >>> split(32, 14)
    [11, 11, 10]
    """
    parts = -(-total // most)
    return [total // parts + (index < total % parts) for index in range(parts)]


def is_pointwise(geometry: ConvGeometry) -> bool:
    """Whether output pixel i reads input pixel i alone, so that the plane may be seen as one line."""
    one, none = (1, 1), (0, 0)
    return geometry.kernel == one and geometry.stride == one and geometry.padding == none


def cut(output: Pair, most: int) -> list[Pixels]:
    """The plane's pixels in blocks of at most `most`: several short rows together, or parts of a long row."""
    height, width = output
    if 2 * width <= most:
        blocks, row = [], 0
        for rows in split(height, most // width):
            blocks.append(tuple((row + i, column) for i in range(rows) for column in range(width)))
            row += rows
        return blocks
    blocks = []
    for row in range(height):
        column = 0
        for pixels in split(width, most):
            blocks.append(tuple((row, column + i) for i in range(pixels)))
            column += pixels
    return blocks


@lru_cache(maxsize=256)
def plan_blocks(geometry: ConvGeometry, *, images: int, plane: Pair, most: int) -> BlockPlan:
    """The blocks of a layer on planes of height x width, at most `most` pixels each."""
    if is_pointwise(geometry):
        return _plan_line(geometry, images * plane[0] * plane[1], plane, most)
    output = geometry.output_size(*plane)
    drawn = [_Drawn(geometry, plane, pixels) for pixels in cut(output, most)]
    layouts: dict[Pixels, dict[Path, int]] = {}
    numbers: dict[Pixels, int] = {}
    blocks = []
    for block in drawn:
        paths = layouts.setdefault(block.shape, {})
        number = numbers.setdefault(block.shape, len(numbers))
        x, y = _offsets(geometry, plane, block.first)
        blocks.append(Block(number, x, y, _merge(block.taps(), paths)))
    made = tuple(_layout(geometry, plane, shape, tuple(paths)) for shape, paths in layouts.items())
    return BlockPlan(made, tuple(blocks), images, output)


def _plan_line(geometry: ConvGeometry, pixels: int, plane: Pair, most: int) -> BlockPlan:
    line = (1, pixels)
    layouts: dict[int, int] = {}
    blocks, first = [], 0
    for count in split(pixels, most):
        x, y = _offsets(geometry, line, (0, first))
        blocks.append(Block(layouts.setdefault(count, len(layouts)), x, y, ((0, 1, 0),)))
        first += count
    made = tuple(
        _layout(geometry, line, tuple((0, i) for i in range(count)), (tuple(range(count)),))
        for count in layouts
    )
    return BlockPlan(made, tuple(blocks), 1, plane)


class _Drawn:
    """A block on its plane: its `first` pixel, and its `shape` relative to that."""

    def __init__(self, geometry: ConvGeometry, plane: Pair, pixels: Pixels) -> None:
        self.first = pixels[0]
        self.shape = tuple((row - pixels[0][0], column - pixels[0][1]) for row, column in pixels)
        self._inside = [
            [
                frozenset(
                    number
                    for number, pixel in enumerate(pixels)
                    if 0
                    <= pixel[axis] * geometry.stride[axis]
                    + tap * geometry.dilation[axis]
                    - geometry.padding[axis]
                    < plane[axis]
                )
                for tap in range(geometry.kernel[axis])
            ]
            for axis in (0, 1)
        ]

    def taps(self) -> list[Path]:
        rows, columns = self._inside
        return [tuple(sorted(row & column)) for row in rows for column in columns]


def _merge(taps: list[Path], paths: dict[Path, int]) -> tuple[Group, ...]:
    """Neighbouring taps with the same pixels as one group; taps wholly in the padding drop out."""
    groups: list[Group] = []
    for tap, pixels in enumerate(taps):
        if not pixels:
            continue
        path = paths.setdefault(pixels, len(paths))
        if groups and groups[-1][1:] == (tap, path):
            groups[-1] = (groups[-1][0], tap + 1, path)
        else:
            groups.append((tap, tap + 1, path))
    return tuple(groups)


def _offsets(geometry: ConvGeometry, plane: Pair, pixel: Pair) -> Pair:
    """Byte offsets of an output pixel and of the input pixel at its tap (0, 0) before padding."""
    row, column = pixel
    output_width = geometry.output_size(*plane)[1]
    x = (row * geometry.stride[0] * plane[1] + column * geometry.stride[1]) * geometry.in_channels
    return x * FLOAT, (row * output_width + column) * geometry.out_channels * FLOAT


def _layout(geometry: ConvGeometry, plane: Pair, shape: Pixels, paths: tuple[Path, ...]) -> Layout:
    x, y = zip(*(_offsets(geometry, plane, pixel) for pixel in shape), strict=True)
    return Layout(x, y, paths or (tuple(range(len(shape))),))
