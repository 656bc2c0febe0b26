"""The layers the benchmark runs, by the network they come from."""

from __future__ import annotations

from dataclasses import dataclass

from kernels.layout import ConvGeometry, Pair


@dataclass(frozen=True)
class LayerShape:
    """A convolution and the plane (height, width) of its input."""

    name: str
    geometry: ConvGeometry
    plane: Pair

    @property
    def place(self) -> tuple[ConvGeometry, Pair]:
        """What makes two layers the same to a device, whatever their name and their network."""
        return self.geometry, self.plane

    def flops(self, batch: int, density: float = 1.0) -> float:
        """Operations of `batch` images, two per multiply-accumulate, at the share `density` of weights."""
        return 2.0 * batch * self.geometry.macs(*self.plane) * density

    def moved(self, batch: int, density: float = 1.0, *, itemsize: int = 4, residual: bool = False) -> float:
        """Bytes of input, kept weights, output and, if there is one, residual, each moved once."""
        height, width = self.geometry.output_size(*self.plane)
        images = self.geometry.in_channels * self.plane[0] * self.plane[1]
        outputs = self.geometry.rows * height * width * (2 if residual else 1)
        weights = density * self.geometry.rows * self.geometry.columns
        return itemsize * (batch * (images + outputs) + weights)


def named(geometry: ConvGeometry, plane: Pair) -> LayerShape:
    """Any layer under a name made of its sizes; padding that keeps the plane is not named.

    >>> named(ConvGeometry(64, 128, (3, 3), (2, 2), (1, 1)), (56, 56)).name
    '3x3/2 64-128 @56'
    >>> named(ConvGeometry(96, 96, (1, 7), padding=(0, 0), groups=4), (17, 8)).name
    '1x7 96-96 g4 p0x0 @17x8'
    >>> named(ConvGeometry(512, 1000), (1, 1)).name
    'linear 512-1000'
    """
    if plane == (1, 1) and geometry == ConvGeometry(geometry.in_channels, geometry.out_channels):
        return LayerShape(f"linear {geometry.in_channels}-{geometry.out_channels}", geometry, plane)
    high, wide = geometry.kernel
    same = tuple(step * (size // 2) for size, step in zip(geometry.kernel, geometry.dilation, strict=True))
    parts = [
        f"{high}x{wide}" + ("" if geometry.stride == (1, 1) else f"/{_pair(geometry.stride)}"),
        f"{geometry.in_channels}-{geometry.out_channels}",
        "" if geometry.groups == 1 else f"g{geometry.groups}",
        "" if geometry.dilation == (1, 1) else f"d{_pair(geometry.dilation)}",
        "" if geometry.padding == same else f"p{geometry.padding[0]}x{geometry.padding[1]}",
        f"@{_pair(plane)}",
    ]
    return LayerShape(" ".join(filter(None, parts)), geometry, plane)


def _pair(pair: Pair) -> str:
    return str(pair[0]) if pair[0] == pair[1] else f"{pair[0]}x{pair[1]}"


def square(channels: int, filters: int, *, kernel: int = 3, stride: int = 1, size: int) -> LayerShape:
    """A convolution on a square plane that keeps its size up to the stride.

    >>> square(64, 128, stride=2, size=56).name
    '3x3/2 64-128 @56'
    """
    geometry = ConvGeometry(channels, filters, (kernel, kernel), (stride, stride), (kernel // 2, kernel // 2))
    return named(geometry, (size, size))


def bottlenecks(wide: int = 1) -> tuple[LayerShape, ...]:
    """Every distinct convolution of ResNet-50, or of Wide-ResNet-50-2 (`wide` 2), at 224 px."""
    shapes, channels = [square(3, 64, kernel=7, stride=2, size=224)], 64
    for stage, size in enumerate((56, 28, 14, 7)):
        inner, outer = 64 * wide * 2**stage, 256 * 2**stage
        stride = 1 if stage == 0 else 2
        before = size * stride
        shapes += [
            square(channels, inner, kernel=1, size=before),
            square(inner, inner, stride=stride, size=before),
            square(inner, outer, kernel=1, size=size),
            square(channels, outer, kernel=1, stride=stride, size=before),
            square(outer, inner, kernel=1, size=size),
            square(inner, inner, size=size),
        ]
        channels = outer
    return distinct(tuple(shapes))


def distinct(*groups: tuple[LayerShape, ...]) -> tuple[LayerShape, ...]:
    """The layers of several groups, each once."""
    return tuple({shape.name: shape for group in groups for shape in group}.values())


# Each distinct prunable layer once. The ImageNet networks run at 224 px.
LAYERS: dict[str, tuple[LayerShape, ...]] = {
    "resnet18": (
        square(64, 64, size=56),
        square(64, 128, stride=2, size=56),
        square(128, 128, size=28),
        square(128, 256, stride=2, size=28),
        square(256, 256, size=14),
        square(256, 512, stride=2, size=14),
        square(512, 512, size=7),
    ),
    "resnet18-ends": (
        square(3, 64, kernel=7, stride=2, size=224),
        named(ConvGeometry(512, 1000), (1, 1)),
    ),
    "resnet18-1x1": (
        square(64, 128, kernel=1, stride=2, size=56),
        square(128, 256, kernel=1, stride=2, size=28),
        square(256, 512, kernel=1, stride=2, size=14),
    ),
    "resnet50": bottlenecks(),
    "resnet50-1x1": (
        square(64, 256, kernel=1, size=56),
        square(256, 64, kernel=1, size=56),
        square(128, 512, kernel=1, size=28),
        square(512, 128, kernel=1, size=28),
        square(1024, 256, kernel=1, size=14),
        square(512, 2048, kernel=1, size=7),
        square(256, 512, kernel=1, stride=2, size=56),
    ),
    "vgg16": (
        square(3, 64, size=224),
        square(64, 64, size=224),
        square(64, 128, size=112),
        square(128, 128, size=112),
        square(128, 256, size=56),
        square(256, 256, size=56),
        square(256, 512, size=28),
        square(512, 512, size=28),
        square(512, 512, size=14),
    ),
    "wide_resnet50_2": bottlenecks(wide=2),
    "sample": (
        square(64, 64, size=28),
        square(64, 128, stride=2, size=28),
        square(128, 128, size=14),
        square(128, 256, stride=2, size=14),
        square(256, 256, size=7),
    ),
    "cifar-resnet20": (
        square(16, 16, size=32),
        square(16, 32, stride=2, size=32),
        square(32, 32, size=16),
        square(32, 64, stride=2, size=16),
        square(64, 64, size=8),
    ),
}
# Every convolution of the four networks that pruning papers report on most.
LAYERS["imagenet"] = distinct(
    *(LAYERS[name] for name in ("resnet18", "resnet18-1x1", "resnet50", "vgg16", "wide_resnet50_2"))
)
