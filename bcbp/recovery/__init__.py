"""The table of recoveries, from the lowest rung of the ladder up. One file and one line each."""

from bcbp.recovery.base import Recovered, Recovery, RecoveryTask
from bcbp.recovery.batchnorm import BATCHNORM
from bcbp.recovery.finetune import FINETUNE
from bcbp.recovery.nothing import NOTHING
from bcbp.recovery.refit import REFIT

RECOVERIES: dict[str, Recovery] = {
    recovery.name: recovery for recovery in (NOTHING, BATCHNORM, REFIT, FINETUNE)
}

__all__ = ["FINETUNE", "RECOVERIES", "Recovered", "Recovery", "RecoveryTask"]
