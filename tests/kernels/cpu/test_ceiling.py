"""The measured ceiling is a plausible one."""

from __future__ import annotations

import pytest

from kernels.cpu.ceiling import measure_ceiling
from kernels.cpu.engine import ENGINE


def test_this_machine_has_a_ceiling() -> None:
    if ENGINE.available():
        pytest.skip(str(ENGINE.available()))
    ceiling = measure_ceiling(seconds=0.01)
    # From one small core to a thousand large ones; outside, the loop was optimised away.
    assert 1e9 < ceiling.flops < 1e14
    assert 1e8 < ceiling.bytes < 1e13
