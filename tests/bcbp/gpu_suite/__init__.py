"""What whole networks compute on the device at hand: a GPU, or the CPU in Triton's interpreter.

Run like tests/kernels/gpu/suite; skipped with the reason in a process that has neither.
"""

from __future__ import annotations

import pytest

from kernels.gpu.engine import missing_reason

if (reason := missing_reason()) is not None:
    pytest.skip(reason, allow_module_level=True)
