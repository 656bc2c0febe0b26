"""The table of allocations: how the asked ratio is spread over layers. A new one is one file and one line."""

from bcbp.allocation.base import Allocation
from bcbp.allocation.explicit import EXPLICIT
from bcbp.allocation.global_threshold import GLOBAL
from bcbp.allocation.latency import LATENCY
from bcbp.allocation.sensitivity import SENSITIVITY
from bcbp.allocation.uniform import UNIFORM

ALLOCATIONS: dict[str, Allocation] = {
    allocation.name: allocation for allocation in (UNIFORM, GLOBAL, SENSITIVITY, LATENCY, EXPLICIT)
}

__all__ = ["ALLOCATIONS", "Allocation"]
