"""A whole network on a GPU: pruned layers in Triton kernels, everything else around them, one CUDA graph.

Where no GPU is present the same code runs in Triton's interpreter, to be checked; its times mean nothing.
"""

from __future__ import annotations

import copy
from collections import OrderedDict
from functools import partial

import torch
from torch import Tensor, nn

from bcbp.baselines import Build, Declined, Run, dense_candidates, first_line
from bcbp.choice import DENSE, LayerRun
from bcbp.errors import ModelError
from bcbp.fusion import Layer, decline_layer
from bcbp.gpu_baselines import gpu_forms
from bcbp.lowering import lower
from bcbp.masking import masked_copy
from bcbp.plan import PruningPlan
from bcbp.tracing import REFUSALS, trace
from kernels.gpu.choice import Choice
from kernels.gpu.clock import GpuTimer
from kernels.gpu.operators import VENDOR
from kernels.gpu.program import Program
from kernels.measure import fastest
from kernels.precision import FP32, Precision, torch_products
from kernels.testing import network_tolerance

TRITON = "triton"
# Buffers and graphs of so many batch sizes or resolutions are kept; a further one ends the oldest.
_KEPT_PROGRAMS = 4


class GpuNetwork(nn.Module):
    """A network whose layers run on the GPU. Takes float [N, C, H, W] of any size the network takes.

    `layers` says for every Conv2d and Linear what runs it and why; `note` says why the network as a whole
    runs dense, and is empty where it runs in kernels. `by_torch` names the steps PyTorch runs itself.
    Buffers, choices and CUDA graph are made on the first call with a shape. One call at a time.
    """

    def __init__(
        self, module: nn.Module, plan: PruningPlan | None, *, precision: Precision, device: torch.device
    ) -> None:
        super().__init__()
        self.precision, self.device = precision, device
        self._masked = masked_copy(module, plan)
        self._forms = gpu_forms(precision, device)
        self._masks = {planned.name: planned.mask for planned in plan or ()}
        self._programs: OrderedDict[tuple[int, ...], Run] = OrderedDict()
        self.layers: tuple[LayerRun, ...] = ()
        self.by_torch: tuple[str, ...] = ()
        self.note = ""

    def forward(self, x: Tensor) -> Tensor:
        return self.program(tuple(x.shape))(x)

    def program(self, shape: tuple[int, ...]) -> Run:
        """What runs inputs of `shape`, made on the first call; `layers` and `note` speak of the last made."""
        if shape not in self._programs:
            while len(self._programs) >= _KEPT_PROGRAMS:
                self._programs.popitem(last=False)
            # Buffers made in inference mode could not be written to outside it.
            with torch.inference_mode(False), torch.no_grad():
                self._programs[shape] = self._build(shape)
        return self._programs[shape]

    def _build(self, shape: tuple[int, ...]) -> Run:
        try:
            traced = trace(self._masked, shape[1:])
            recipe = lower(traced, self._masks, precision=self.precision, device=self.device)
            program = Program(recipe, images=shape[0], device=self.device)
            self._check(program, shape)
        except (ModelError, *REFUSALS) as error:
            reason = first_line(error)
        else:
            self.layers, self.note = self._runs(program.choices), ""
            self.by_torch = tuple(program.by_torch)
            return program
        return self._build_dense(shape, reason)

    def _build_dense(self, shape: tuple[int, ...], reason: str) -> Run:
        """The masked network as PyTorch runs it, in its fastest form; where nothing is timed, the first."""
        self.note, self.by_torch = reason, ()
        self.layers = tuple(
            LayerRun(name, DENSE, f"the whole network runs dense: {reason}") for name in self._layer_names()
        )
        timed = self.device.type == "cuda"
        candidates, declined = dense_candidates(
            self._masked,
            forms=self._forms if timed else {"eager": self._forms["eager"]},
            input_shape=shape[1:],
            batch=shape[0],
        )
        if not candidates:
            raise Declined(f"no form of the network runs on {self.device}: {dict(declined)}")
        if not timed:
            return candidates[0].run
        x = torch.randn(shape, device=self.device)
        runs = {one.name: one.run for one in candidates}
        calls = {name: partial(run, x) for name, run in runs.items()}
        return runs[fastest(calls, timer=GpuTimer(graph=False))]

    def _layer_names(self) -> list[str]:
        return [name for name, child in self._masked.named_modules() if isinstance(child, Layer)]

    def _runs(self, choices: dict[str, Choice]) -> tuple[LayerRun, ...]:
        """One entry for every layer, in the module's order."""
        return tuple(self._layer_run(name, choices.get(name)) for name in self._layer_names())

    def _layer_run(self, name: str, choice: Choice | None) -> LayerRun:
        if choice is None:
            layer = self._masked.get_submodule(name)
            assert isinstance(layer, Layer)
            why = decline_layer(layer) or "the forward pass does not call it once, by itself, on a batch"
            return LayerRun(name, DENSE, f"PyTorch's own: {why}")
        ran = DENSE if choice.engine == VENDOR else TRITON
        detail = "" if choice.config is None else f"; {choice.config}"
        return LayerRun(name, ran, f"{choice.engine}: {choice.reason}{detail}")

    def _check(self, program: Program, shape: tuple[int, ...]) -> None:
        """Raise ModelError unless the program computes what the masked network computes."""
        x = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(self.device)
        expected = exact_forward(self._masked, self.device)(x)
        allowed = rounding(self._masked, self.precision)
        error = float((program(x) - expected).norm() / expected.norm())
        if not error <= allowed:
            raise ModelError(
                f"its output is off by {error:.2g} of the masked network's, more than the {allowed:.2g} that "
                f"rounding in {self.precision.title} explains"
            )


def unpruned_form(precision: Precision, device: torch.device) -> dict[str, Build]:
    """The dense network as a pruned one runs: every layer by what is fastest, with nothing removed.

    Without this form a speed-up would be partly that of our maps and kernels, and not pruning's.
    """

    def build(module: nn.Module, input_shape: tuple[int, ...], batch: int) -> Run:
        network = GpuNetwork(module, None, precision=precision, device=device)
        run = network.program((batch, *input_shape))
        if network.note:
            raise Declined(network.note)
        return run

    return {TRITON: build}


def rounding(module: nn.Module, precision: Precision) -> float:
    """How far the output of `module` may be off by rounding alone; see kernels.testing.network_tolerance."""
    columns = [child.weight[0].numel() for child in module.modules() if isinstance(child, Layer)]
    return network_tolerance(len(columns), max(columns, default=1), precision)


def exact_forward(module: nn.Module, device: torch.device) -> Run:
    """A copy of `module` on `device` in float32, by plain sums: nothing is cut or transformed."""
    moved = copy.deepcopy(module).eval().to(device)

    @torch.no_grad()
    def run(x: Tensor) -> Tensor:
        with torch_products(FP32), torch.backends.cudnn.flags(enabled=False):
            return moved(x)

    return run
