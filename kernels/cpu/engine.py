"""The CPU engine: convolutions on the kept columns alone, in code generated for the layer's shape.

channels_last in and out; threads, bias, residual and activation inside. How it works: codegen (the
product), blocks (pixels and borders), panels (weights), driver and threads (sharing the
work).
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from kernels.cpu import threads as cpu_threads
from kernels.cpu.blocks import FLOAT, Layout, plan_blocks
from kernels.cpu.codegen import ENDINGS, KernelShape, kernel_address
from kernels.cpu.driver import Call, driver_address
from kernels.cpu.panels import choose_height, make_panels
from kernels.cpu.schedule import Schedule, choose_schedule, fetch_distance
from kernels.cpu.tables import BlockTable, PanelTable
from kernels.cpu.target import VectorTarget, choose_target, host_target
from kernels.engines import Epilogue
from kernels.pack import PackedWeight

Shape = tuple[int, int, int, int]


class TilesEngine:
    """Runs every tile on its own kept columns."""

    name = "cpu-tiles"
    title = "generated CPU kernels on kept columns"
    speed_claim = True
    activations = ("none", "relu", "relu6")

    def available(self) -> str | None:
        host = _host()
        return host if isinstance(host, str) else None

    def supports(self, packed: PackedWeight, dtype: torch.dtype) -> str | None:
        if dtype != torch.float32:
            return f"expected float32, got {dtype}; cpu-tiles has no other type yet"
        per_group = packed.geometry.rows // packed.geometry.groups
        mixed = (len((tile.rows // per_group).unique()) > 1 for tile in packed.tiles)
        if packed.geometry.groups > 1 and any(mixed):
            return (
                f"a tile of {packed.tile} filters spans groups of {per_group}; it needs one group's columns"
            )
        return None

    def build(self, packed: PackedWeight, epilogue: Epilogue, *, target: str | None = None) -> TilesOperator:
        """For the host, or a `target` of target.OVERRIDES. ValueError with the reason if unsupported."""
        reason = self.supports(packed, packed.tiles[0].values.dtype)
        if reason is not None:
            raise ValueError(f"cpu-tiles cannot build this layer: {reason}")
        return TilesOperator(packed, epilogue, choose_target(target))


@dataclass(frozen=True)
class _Prepared:
    """Everything one input shape needs: the filled-in call, its threads, and what the call points to."""

    call: Call
    threads: int
    output: Shape
    strides: Shape
    alive: tuple[object, ...]


class TilesOperator:
    """A layer ready to run: float32 x [N, C, H, W] in channels_last to y [N, M, Ho, Wo] in channels_last.

    Code and tables for an input shape are made on its first call and kept. Safe to call from several threads.
    """

    def __init__(self, packed: PackedWeight, epilogue: Epilogue, target: VectorTarget) -> None:
        tallest = max(len(tile.rows) for tile in packed.tiles)
        self.geometry, self.epilogue = packed.geometry, epilogue
        self.target = target.narrowed(tallest)
        self.vectors = choose_height(packed, self.target)
        self.panels = make_panels(packed, self.vectors * self.target.lanes)
        self._driver = driver_address(target)
        self._prepared: dict[tuple[torch.Size, bool, int], _Prepared] = {}

    def __call__(self, x: Tensor, residual: Tensor | None = None) -> Tensor:
        key = (x.shape, residual is not None, torch.get_num_threads())
        prepared = self._prepared.get(key)
        if prepared is None:
            prepared = self._prepared[key] = self._prepare(*key)
        _check(x, "x", x.shape)
        y = torch.empty_strided(prepared.output, prepared.strides, dtype=torch.float32, device="cpu")
        call = Call.from_buffer_copy(prepared.call)
        call.x, call.y = x.data_ptr(), y.data_ptr()
        if residual is not None:
            _check(residual, "residual", y.shape)
            call.residual = residual.data_ptr()
        cpu_threads.run(self._driver, ctypes.addressof(call), prepared.threads)
        return y

    def _prepare(self, shape: torch.Size, residual: bool, threads: int) -> _Prepared:
        """Compile and tabulate for inputs of `shape`. Raises ValueError if the layer does not take them."""
        images, channels, height, width = shape
        if channels != self.geometry.in_channels:
            raise ValueError(f"expected x with {self.geometry.in_channels} channels, got {tuple(shape)}")
        most, lanes = self.target.pixels(self.vectors), self.target.lanes
        plan = plan_blocks(self.geometry, images=images, plane=(height, width), most=most)
        blocks = BlockTable(plan, [self._compile(layout, residual) for layout in plan.layouts])
        panels = PanelTable(self.panels, self.epilogue.bias, geometry=self.geometry, width=width, lanes=lanes)
        schedule = choose_schedule(self.panels, plan, geometry=self.geometry, shape=shape, threads=threads)
        output = (images, self.geometry.out_channels, *self.geometry.output_size(height, width))
        call = _fill_call(schedule, panels, blocks)
        call.ahead = fetch_distance(self.geometry, shape)
        call.x_image = FLOAT * channels * height * width
        call.y_image = FLOAT * output[1] * output[2] * output[3]
        strides = (call.y_image // FLOAT, 1, output[3] * output[1], output[1])
        return _Prepared(call, schedule.threads, output, strides, (panels, blocks))

    def _compile(self, layout: Layout, residual: bool) -> dict[str, int]:
        """Addresses of the micro-kernels that blocks of `layout` need, by ending."""
        used, activation = {panel.ending for panel in self.panels}, self.epilogue.activation
        return {
            ending: kernel_address(
                KernelShape(self.target, self.vectors, layout, activation, residual, ending)
            )
            for ending in ENDINGS
            if ending in used
        }


def _fill_call(schedule: Schedule, panels: PanelTable, blocks: BlockTable) -> Call:
    return Call(
        panels=panels.address,
        panel_count=schedule.panels,
        panel_chunk=schedule.panel_chunk,
        blocks=blocks.address,
        block_count=len(blocks.records),
        block_chunk=schedule.block_chunk,
        all_blocks=schedule.blocks,
        block_chunks=schedule.block_chunks,
        tasks=schedule.tasks,
        workers=schedule.threads,
        thread_number=cpu_threads.thread_number(),
    )


def _check(tensor: Tensor, name: str, shape: torch.Size) -> None:
    """Raise ValueError unless generated code may read `tensor`: float32, channels_last, of `shape`."""
    if tensor.dtype != torch.float32 or not tensor.is_cpu:
        raise ValueError(f"expected {name} in float32 on the CPU, got {tensor.dtype} on {tensor.device}")
    if tensor.shape != shape:
        raise ValueError(f"expected {name} of shape {tuple(shape)}, got {tuple(tensor.shape)}")
    if not tensor.is_contiguous(memory_format=torch.channels_last):
        raise ValueError(
            f"expected {name} in channels_last, got strides {tensor.stride()}; "
            "call .contiguous(memory_format=torch.channels_last)"
        )


@lru_cache(maxsize=1)
def _host() -> VectorTarget | str:
    return host_target()


ENGINE = TilesEngine()
