"""The stores on this machine's disk, each opened once."""

from __future__ import annotations

import streamlit as st

from bcbp.jobs import RunStore
from bcbp.passport_store import PassportStore
from bcbp.sensitivity import ScanStore


@st.cache_resource(show_spinner=False)
def runs() -> RunStore:
    return RunStore()


@st.cache_resource(show_spinner=False)
def scans() -> ScanStore:
    return ScanStore(runs().root)


@st.cache_resource(show_spinner=False)
def passports() -> PassportStore:
    return PassportStore(runs().root)
