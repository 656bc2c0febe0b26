"""Activations as the GPU kernels want them: every tap of a convolution is a run of whole 16-byte units.

CHWN keeps the images innermost: `buffer[C, H + 2 halo, W + 2 halo, images]`. Whatever the tap, stride or
dilation, the values one output row needs are then contiguous and aligned, and the zero halo, written once,
spares every mask and every division by the kernel size in the inner loop.

With one or two images that would be mostly padding. The shifted layout puts the output columns of the layer
that reads it innermost and holds one copy per kernel column, each moved to where that kernel column reads:
`buffer[kernel columns, C, images, H + 2 halo, output columns]`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from kernels.layout import ConvGeometry, Pair

CHWN, SHIFTED = "chwn", "shifted"
_LARGEST = 2**31  # offsets inside a plane are 32 bits wide in the kernels


@dataclass(frozen=True)
class Shift:
    """How the reading layer moves along the width: its kernel columns, stride and padding."""

    taps: int = 1
    stride: int = 1
    padding: int = 0

    def positions(self, width: int) -> int:
        """Output columns of the reading layer for an input of `width`."""
        return (width + 2 * self.padding - self.taps) // self.stride + 1


PLAIN = Shift()


@dataclass(frozen=True)
class Grid:
    """Offsets, in 16-byte units, of the three loops over positions: `base` + a * outer + b * inner + i.

    In CHWN a, b, i are row, column, image; in the shifted layout image, row, column. `channel` is the
    distance of two channels.
    """

    base: int
    channel: int
    outer: int
    inner: int


@dataclass(frozen=True, eq=False)
class FeatureMap:
    """`images` maps of `channels` x `height` x `width` in one buffer; `shift` is None in CHWN.

    The halo is zero and stays so: operators write the interior only. The innermost dimension is rounded up
    to 16 bytes; what lies beyond `images` (or the output columns) may hold any finite value.
    """

    buffer: Tensor
    channels: int
    height: int
    width: int
    images: int
    halo: Pair = (0, 0)
    shift: Shift | None = None

    @property
    def dtype(self) -> torch.dtype:
        return self.buffer.dtype

    @property
    def device(self) -> torch.device:
        return self.buffer.device

    @property
    def unit(self) -> int:
        """Values per 16 bytes."""
        return 16 // self.buffer.element_size()

    @property
    def kind(self) -> str:
        return CHWN if self.shift is None else SHIFTED

    @property
    def innermost(self) -> int:
        return self.buffer.shape[-1]

    @property
    def plane(self) -> Pair:
        return self.height, self.width

    def nchw(self) -> Tensor:
        """The maps as [N, C, H, W], a view into the buffer. ValueError for copies that are shifted."""
        top, left = self.halo
        if self.shift is None:
            inside = self.buffer[:, top : top + self.height, left : left + self.width, : self.images]
            return inside.permute(3, 0, 1, 2)
        if self.shift != PLAIN:
            raise ValueError(f"expected a plain feature map, got one shifted for {self.shift}")
        return self.buffer[0, :, :, top : top + self.height, : self.width].transpose(0, 1)

    def matrix(self) -> Tensor:
        """The whole buffer as [C, everything else], a view. RuntimeError for several copies."""
        return self.buffer.view(self.channels, -1)

    def write(self, x: Tensor) -> None:
        """Copy x [N, C, H, W] in, into every shifted copy: the plain twin of the conversion kernels."""
        if self.shift is None or self.shift == PLAIN:
            self.nchw().copy_(x)
            return
        shift, top = self.shift, self.halo[0]
        padded = F.pad(x, (shift.padding, shift.padding)).transpose(0, 1)
        count = shift.positions(self.width)
        for tap in range(shift.taps):
            columns = padded[..., tap : tap + (count - 1) * shift.stride + 1 : shift.stride]
            self.buffer[tap, :, :, top : top + self.height, :count] = columns

    def read(self) -> Tensor:
        """A contiguous copy [N, C, H, W]."""
        return self.nchw().clone(memory_format=torch.contiguous_format)

    def reading_grid(self, geometry: ConvGeometry) -> Grid:
        """Where the first tap of `geometry` reads. ValueError if halo or copies do not suit the layer."""
        if self.shift is None:
            spare = tuple(self.halo[axis] - geometry.padding[axis] for axis in (0, 1))
            if min(spare) < 0:
                raise ValueError(f"expected a halo of at least {geometry.padding}, got {self.halo}")
            channel, row, column, _ = self.buffer.stride()
            base = spare[0] * row + spare[1] * column
            return self._grid(base, channel, geometry.stride[0] * row, geometry.stride[1] * column)
        wanted = shift_of(geometry)
        if self.shift != wanted or self.halo[0] < geometry.padding[0]:
            raise ValueError(
                f"expected copies for {wanted} with a halo of {geometry.padding[0]} rows, "
                f"got {self.shift} with {self.halo[0]}"
            )
        _, channel, image, row, _ = self.buffer.stride()
        base = (self.halo[0] - geometry.padding[0]) * row
        return self._grid(base, channel, image, geometry.stride[0] * row)

    def writing_grid(self) -> Grid:
        """Where the interior lies; for shifted copies, the first of them."""
        if self.shift is None:
            channel, row, column, _ = self.buffer.stride()
            return self._grid(self.halo[0] * row + self.halo[1] * column, channel, row, column)
        _, channel, image, row, _ = self.buffer.stride()
        return self._grid(self.halo[0] * row, channel, image, row)

    def tap_offsets(self, columns: Tensor, geometry: ConvGeometry) -> Tensor:
        """int64 offsets in 16-byte units of GEMM columns (c, r, s), beyond `reading_grid(geometry).base`."""
        kernel_rows, kernel_columns = geometry.kernel
        channel = columns // (kernel_rows * kernel_columns)
        row, column = columns // kernel_columns % kernel_rows, columns % kernel_columns
        strides = self.buffer.stride()
        if self.shift is None:
            at = channel * strides[0] + row * geometry.dilation[0] * strides[1]
            return (at + column * geometry.dilation[1] * strides[2]) // self.unit
        at = column * strides[0] + channel * strides[1] + row * geometry.dilation[0] * strides[3]
        return at // self.unit

    def positions(self, output: Pair) -> tuple[int, int, int]:
        """The extents of the three loops over an output plane: outer, inner, innermost (in values)."""
        if self.shift is None:
            return output[0], output[1], self.innermost
        return self.images, output[0], self.innermost

    def _grid(self, *elements: int) -> Grid:
        return Grid(*(offset // self.unit for offset in elements))


def shift_of(geometry: ConvGeometry) -> Shift:
    """What the shifted layout must hold for a layer. ValueError for layers dilated along the width."""
    if geometry.kernel[1] > 1 and geometry.dilation[1] > 1:
        raise ValueError(f"expected no dilation along the width, got {geometry.dilation[1]}; use CHWN")
    return Shift(geometry.kernel[1], geometry.stride[1], geometry.padding[1])


def chwn(
    channels: int,
    plane: Pair,
    images: int,
    *,
    halo: Pair = (0, 0),
    dtype: torch.dtype,
    device: torch.device | str = "cpu",
) -> FeatureMap:
    """A feature map of zeros with the images innermost.

    >>> chwn(3, (5, 5), 2, halo=(1, 1), dtype=torch.float16).buffer.shape
    torch.Size([3, 7, 7, 8])
    """
    shape = (channels, plane[0] + 2 * halo[0], plane[1] + 2 * halo[1], _rounded(images, dtype))
    return FeatureMap(_zeros(shape, dtype, device), channels, *plane, images, halo)


def shifted(
    channels: int,
    plane: Pair,
    images: int,
    *,
    halo_rows: int = 0,
    shift: Shift = PLAIN,
    dtype: torch.dtype,
    device: torch.device | str = "cpu",
) -> FeatureMap:
    """A feature map of zeros as column-shifted copies, for few images.

    >>> shifted(3, (30, 30), 1, halo_rows=3, shift=Shift(7, 2, 3), dtype=torch.float16).buffer.shape
    torch.Size([7, 3, 1, 36, 16])
    """
    columns = _rounded(shift.positions(plane[1]), dtype)
    shape = (shift.taps, channels, images, plane[0] + 2 * halo_rows, columns)
    return FeatureMap(_zeros(shape, dtype, device), channels, *plane, images, (halo_rows, 0), shift)


def layout_for(images: int, dtype: torch.dtype) -> str:
    """CHWN, unless at least half of every 16-byte unit would be padding.

    >>> [layout_for(images, torch.float16) for images in (1, 4, 5, 128)]
    ['shifted', 'shifted', 'chwn', 'chwn']
    """
    return SHIFTED if 2 * images <= 16 // dtype.itemsize else CHWN


def _rounded(count: int, dtype: torch.dtype) -> int:
    unit = 16 // dtype.itemsize
    return -(-count // unit) * unit


def _zeros(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device | str) -> Tensor:
    buffer = torch.zeros(shape, dtype=dtype, device=device)
    if buffer.stride(0) >= _LARGEST:
        raise ValueError(f"expected planes below 2^31 values, got {buffer.stride(0)}; use a smaller batch")
    return buffer
