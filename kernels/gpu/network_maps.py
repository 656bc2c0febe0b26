"""The maps that a layer alone is timed on: those it would have inside a network of such maps."""

from __future__ import annotations

from functools import partial

import torch

from kernels.gpu.dense_forms import Inputs
from kernels.gpu.feature_map import SHIFTED, Shift, chwn, layout_for, shift_of, shifted
from kernels.gpu.map_layer import Maps
from kernels.layout import ConvGeometry


def maps_in_a_network(g: ConvGeometry, inputs: Inputs, *, device: torch.device | str) -> Maps:
    """x and residual filled with `inputs`, and room for the result.

    Few images: what reads the result decides what is written. Behind a wide kernel that is mostly another
    one, so its copies are there to be written as well.
    """
    images, _, *size = inputs.x.shape
    plane, copies = (size[0], size[1]), None
    output = g.output_size(*plane)
    if layout_for(images, inputs.x.dtype) == SHIFTED:
        make = partial(shifted, images=images, dtype=inputs.x.dtype, device=device)
        x = make(g.in_channels, plane, halo_rows=g.padding[0], shift=shift_of(g))
        if g.kernel[1] > 1:
            reader = Shift(g.kernel[1], 1, g.kernel[1] // 2)
            copies = make(g.rows, output, halo_rows=g.kernel[0] // 2, shift=reader)
    else:
        make = partial(chwn, images=images, dtype=inputs.x.dtype, device=device)
        x = make(g.in_channels, plane, halo=g.padding)
    y, residual = (make(g.rows, output) for _ in range(2))
    x.write(inputs.x)
    residual.write(inputs.residual)
    return Maps(x, y, residual, copies)


def what_is_written(maps: Maps) -> str:
    """In the layout for few images, in words; there is nothing to say of the other."""
    if maps.written.kind != SHIFTED:
        return ""
    shift = None if maps.expand is None else maps.expand.shift
    return "plain" if shift is None else f"plain and {shift.taps} copies"
