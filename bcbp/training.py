"""The training loop, one for every use: passes over shuffled, randomly changed images.

A pass is a function of the seed and its number, so one that is repeated after an interruption is the same:
no state of a random generator has to be kept.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bcbp.checkpoint import State
from bcbp.data import Images
from bcbp.team import ALONE, Team
from kernels.measure import Stopped

# (outputs, inputs, labels) -> mean loss of the batch
Loss = Callable[[Tensor, Tensor, Tensor], Tensor]

# Share of the peak rate when `rest` in [0, 1] of the way behind the warm-up is done.
SCHEDULES: dict[str, Callable[[float], float]] = {
    "cosine": lambda rest: (1 + math.cos(math.pi * rest)) / 2,
    "step": lambda rest: 0.1 ** ((rest >= 1 / 2) + (rest >= 3 / 4)),
}


def _sgd(module: nn.Module, weight_decay: float) -> torch.optim.Optimizer:
    return torch.optim.SGD(
        module.parameters(), lr=0.0, momentum=0.9, nesterov=True, weight_decay=weight_decay
    )


def _adamw(module: nn.Module, weight_decay: float) -> torch.optim.Optimizer:
    return torch.optim.AdamW(module.parameters(), lr=0.0, weight_decay=weight_decay)


OPTIMIZERS = {"sgd": _sgd, "adamw": _adamw}
# Peak rates to fine-tune with: AdamW's steps do not shrink with its gradients.
USUAL_RATES = {"sgd": 0.02, "adamw": 0.001}


@dataclass(frozen=True)
class Recipe:
    """Hyper-parameters of one training run: names out of the tables above, and numbers."""

    epochs: int
    batch: int
    peak_rate: float
    weight_decay: float = 5e-4
    warmup_share: float = 0.15
    seed: int = 0
    optimizer: str = "sgd"
    schedule: str = "cosine"

    def rate(self, progress: float) -> float:
        """Learning rate at `progress` in [0, 1]: linear up to the peak, then down as the schedule says."""
        if progress < self.warmup_share:
            return self.peak_rate * progress / self.warmup_share
        rest = (progress - self.warmup_share) / (1 - self.warmup_share)
        return self.peak_rate * SCHEDULES[self.schedule](rest)


def cross_entropy(outputs: Tensor, _inputs: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(outputs, labels)


@dataclass(frozen=True, eq=False)
class Conditions:
    """What a training keeps to: its loss, what stays `removed` of which parameter (see
    `masking.removed_parameters`), whether products run in `bf16`, and with whom it trains.
    """

    loss: Loss = cross_entropy
    removed: Mapping[str, Tensor] = field(default_factory=dict)
    bf16: bool = True
    team: Team = ALONE


@dataclass(frozen=True)
class Pass:
    """Mean loss and share of right answers over the images of a pass, as they were changed for it."""

    loss: float
    accuracy: float


class Training:
    """One network under training, with its optimiser. Weights are float32."""

    def __init__(
        self, module: nn.Module, images: Images, recipe: Recipe, conditions: Conditions | None = None
    ) -> None:
        """`module` is trained in place, on the team's device, and left in train mode."""
        self._recipe, self._images, self._conditions = recipe, images, conditions or Conditions()
        self._team, self._device = self._conditions.team, self._conditions.team.device
        self.module = module.requires_grad_(True).to(self._device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._network = self._team.wrap(self.module)
        self._optimizer = OPTIMIZERS[recipe.optimizer](self.module, recipe.weight_decay)
        named = dict(self.module.named_parameters())
        removed = self._conditions.removed.items()
        self._removed = [(named[name], gone.to(self._device)) for name, gone in removed]
        self._batch = min(recipe.batch, len(images))
        self._steps = len(images) // self._batch

    def epoch(
        self,
        number: int,
        *,
        tell: Callable[[float], None] = lambda _share: None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> Pass:
        """Pass `number`, from 0: every image once, but for a rest smaller than a batch.

        Raises Stopped between two steps, in all processes of a team at once.
        """
        self.module.train()
        totals = torch.zeros(2, dtype=torch.float64, device=self._device)
        seed = _seed(self._recipe, number)
        with torch.random.fork_rng(devices=[self._device] if self._device.type == "cuda" else []):
            torch.manual_seed(seed + self._team.rank)  # for layers that draw, like dropout
            for step, (inputs, labels) in enumerate(self._batches(seed)):
                if self._team.any(should_stop()):
                    raise Stopped
                self._set_rate((number + step / self._steps) / self._recipe.epochs)
                totals += self._step(inputs.to(self._device), labels.to(self._device))
                tell((step + 1) / self._steps)
        self._team.average_statistics(self.module)
        loss, hits, seen = self._team.total(*totals.tolist(), self._steps * self._share_size)
        return Pass(loss / seen, hits / seen)

    def state(self) -> State:
        """All that the passes so far have left."""
        return {"module": self.module.state_dict(), "optimizer": self._optimizer.state_dict()}

    def restore(self, state: State) -> None:
        """Inverse of `state`."""
        self.module.load_state_dict(state["module"])
        self._optimizer.load_state_dict(state["optimizer"])

    @property
    def _share_size(self) -> int:
        return self._batch // self._team.size

    def _batches(self, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
        """This process's share of every batch of a pass."""
        generator = torch.Generator().manual_seed(seed)
        order, share = torch.randperm(len(self._images), generator=generator), self._team.share(self._batch)
        for chosen in order.split(self._batch)[: self._steps]:
            inputs = self._images.training_inputs(chosen, generator, share)
            yield inputs, self._images.labels[chosen[share]]

    def _set_rate(self, progress: float) -> None:
        for group in self._optimizer.param_groups:
            group["lr"] = self._recipe.rate(progress)

    def _step(self, inputs: Tensor, labels: Tensor) -> Tensor:
        """One step; gives summed loss and right answers. What is removed gets no gradient and stays zero."""
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._conditions.bf16):
            outputs = self._network(inputs)
            loss = self._conditions.loss(outputs, inputs, labels)
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        for parameter, gone in self._removed:
            if parameter.grad is not None:
                parameter.grad.masked_fill_(gone, 0)
        self._optimizer.step()
        with torch.no_grad():
            for parameter, gone in self._removed:
                parameter.masked_fill_(gone, 0)
            hits = (outputs.argmax(1) == labels).sum()
            return torch.stack([loss.detach().double() * len(labels), hits.double()])


def _seed(recipe: Recipe, number: int) -> int:
    return recipe.seed * 100_003 + number
