"""What the GPU kernels compute, on the device at hand: a GPU, or the CPU in Triton's interpreter.

    python -m pytest tests/kernels/gpu/suite                       with a GPU
    TRITON_INTERPRET=1 python -m pytest tests/kernels/gpu/suite    without one

In a process that has neither, every file of this folder is skipped with the reason; `test_processes.py`
beside it runs them in the interpreter.
"""

from __future__ import annotations

import pytest

from kernels.gpu.engine import missing_reason

if (reason := missing_reason()) is not None:
    pytest.skip(reason, allow_module_level=True)
