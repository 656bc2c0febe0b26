"""What a convolution is to an engine: its GEMM view, and the sizes that follow from it."""

from __future__ import annotations

from dataclasses import dataclass

Pair = tuple[int, int]


@dataclass(frozen=True)
class ConvGeometry:
    """A convolution as the matrix product W[M, K] x X[K, N].

    M = `rows` filters, K = `columns` = in_channels / groups * kh * kw taps, N = images * Ho * Wo. Column
    j of W is tap (c, r, s) with j = (c * kh + r) * kw + s, the order of `weight.flatten(1)`. A Linear layer
    is the 1x1 case on a 1x1 plane.

    >>> geometry = ConvGeometry(64, 128, (3, 3), stride=(2, 2), padding=(1, 1))
    >>> geometry.columns, geometry.output_size(56, 56), geometry.macs(56, 56)
    (576, (28, 28), 57802752)
    """

    in_channels: int
    out_channels: int
    kernel: Pair = (1, 1)
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1

    @property
    def rows(self) -> int:
        return self.out_channels

    @property
    def columns(self) -> int:
        return self.in_channels // self.groups * self.kernel[0] * self.kernel[1]

    @property
    def weight_shape(self) -> tuple[int, int, int, int]:
        return (self.out_channels, self.in_channels // self.groups, *self.kernel)

    def output_size(self, height: int, width: int) -> Pair:
        """Output height and width for an input plane of height x width."""
        out = [
            (size + 2 * self.padding[axis] - self.dilation[axis] * (self.kernel[axis] - 1) - 1)
            // self.stride[axis]
            + 1
            for axis, size in enumerate((height, width))
        ]
        return out[0], out[1]

    def macs(self, height: int, width: int) -> int:
        """Multiply-accumulates of the dense layer for one image of height x width."""
        out = self.output_size(height, width)
        return self.rows * self.columns * out[0] * out[1]
