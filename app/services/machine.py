"""This machine as it is now: its conditions, what can be measured on it, and the engines that run here."""

from __future__ import annotations

from typing import Any

import streamlit as st

from bcbp.devices import DEVICES, first_device, present_devices
from bcbp.request import CompareRequest
from kernels.device import environment
from kernels.engines import ENGINE_NAMES, engine
from kernels.precision import PRECISIONS


@st.cache_data(ttl=5, max_entries=1, show_spinner=False)
def conditions() -> dict[str, Any]:
    """Processor, load, versions, date: see `kernels.device.environment`."""
    return environment()


def live_devices() -> tuple[str, ...]:
    """What can be measured on this machine, the first one first; the CPU where nothing can."""
    return present_devices() or (first_device(),)


def run_device() -> tuple[str, str]:
    """Device and precision that this machine's layer times are of, as a comparison names them."""
    device = live_devices()[0]
    dtype = DEVICES[device].dtype
    return device, dtype if dtype in PRECISIONS else CompareRequest().precision


def engines() -> tuple[tuple[str, str, str | None], ...]:
    """Every engine: name, title, and why it cannot run here (None: it can)."""
    return tuple((name, engine(name).title, engine(name).available()) for name in ENGINE_NAMES)
