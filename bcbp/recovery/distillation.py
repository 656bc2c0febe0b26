"""The loss of fine-tuning: right answers, and, where asked for, the dense network's way of answering.

Source of the second term: Hinton, Vinyals, Dean, *Distilling the Knowledge in a Neural Network*, 2015,
arXiv 1503.02531, section 2.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True, eq=False)
class TuningLoss:
    """`(1 − weight) · CE + weight · T² · KL(teacher ‖ student)`, both softened by the temperature T.

    T² keeps the gradients of the second term at the scale of the first. Without a weight the teacher is
    not run. CE smooths its labels by `smoothing`.
    """

    teacher: nn.Module
    weight: float
    temperature: float
    smoothing: float

    def __call__(self, outputs: Tensor, inputs: Tensor, labels: Tensor) -> Tensor:
        outputs = outputs.float()
        loss = F.cross_entropy(outputs, labels, label_smoothing=self.smoothing)
        if not self.weight:
            return loss
        with torch.no_grad():
            wanted = F.log_softmax(self.teacher(inputs).float() / self.temperature, 1)
        given = F.log_softmax(outputs / self.temperature, 1)
        apart = F.kl_div(given, wanted, reduction="batchmean", log_target=True)
        return (1 - self.weight) * loss + self.weight * self.temperature**2 * apart
