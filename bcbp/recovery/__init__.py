"""The table of recoveries: what is done for accuracy after pruning. One file and one line each."""

from torch import nn

from bcbp.data import ImageSet
from bcbp.recovery.base import Recovery
from bcbp.recovery.batchnorm import BATCHNORM
from bcbp.recovery.nothing import NOTHING
from bcbp.spec import PruneSpec

RECOVERIES: dict[str, Recovery] = {recovery.name: recovery for recovery in (BATCHNORM, NOTHING)}


def recover(module: nn.Module, images: ImageSet, *, spec: PruneSpec) -> nn.Module:
    """`module` after the recovery that `spec` names, over calibration `images`: a copy in eval mode."""
    return RECOVERIES[spec.recovery].apply(module, images)


__all__ = ["RECOVERIES", "Recovery", "recover"]
