"""The names of choices for people."""

from __future__ import annotations

from app.words.formats import capital
from bcbp.allocation import ALLOCATIONS
from bcbp.criteria import CRITERIA
from bcbp.patterns import PATTERNS
from bcbp.recovery import RECOVERIES
from bcbp.spec import DENSE
from bcbp.training import SCHEDULES
from kernels.precision import PRECISIONS

PATTERN_TITLES = {name: capital(pattern.label) for name, pattern in PATTERNS.items()}
METHOD_TITLES = {DENSE: "Dense"} | PATTERN_TITLES
PRESET_TITLES = {name: allocation.title for name, allocation in ALLOCATIONS.items()}
CRITERION_TITLES = {name: criterion.title for name, criterion in CRITERIA.items()}
RECOVERY_TITLES = {name: recovery.title for name, recovery in RECOVERIES.items()}
OPTIMIZER_TITLES = {"sgd": "SGD", "adamw": "AdamW"}
SCHEDULE_TITLES = {name: capital(name) for name in SCHEDULES}
TUNING_PRECISION_TITLES = {"auto": "the faster", "fp32": "fp32", "bf16": "bf16"}
PRECISION_TITLES = {name: precision.title for name, precision in PRECISIONS.items()}
