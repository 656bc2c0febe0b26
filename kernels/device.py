"""The conditions a measurement was taken under: machine, load, versions, commit, date."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Mapping
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parent.parent
_PACKAGES = ("torch", "torchvision", "numpy", "llvmlite", "triton")


def environment() -> dict[str, object]:
    """A JSON-able record of this machine and this process. Nothing optional is imported to write it.

    `cores` are physical, `logical_cores` what the system schedules on, `usable_cores` those this process
    may run on; `threads` is what torch runs with. `load` is the one-minute load average (None on Windows).
    `clock` is `cpu_clock` as the record is written.
    """
    return {
        "cpu": cpu_model(),
        "instruction_set": torch.backends.cpu.get_cpu_capability(),
        "cores": _physical_cores(),
        "logical_cores": os.cpu_count(),
        "usable_cores": _usable_cores(),
        "threads": torch.get_num_threads(),
        "load": load_average(),
        "clock": cpu_clock(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "os": platform.platform(),
        "python": platform.python_version(),
        "versions": {name: version for name in _PACKAGES if (version := _version(name))},
        "commit": product_commit(ROOT),
        "date": now(),
    }


def processor(environment: Mapping[str, object]) -> str:
    """The processor with its instruction set: virtual machines give very different ones the same name.

    >>> processor({"cpu": "AMD EPYC", "instruction_set": "AVX2"}), processor({"cpu": "AMD EPYC"})
    ('AMD EPYC (AVX2)', 'AMD EPYC')
    """
    name, instructions = environment.get("cpu"), environment.get("instruction_set")
    return f"{name} ({instructions})" if name and instructions else str(name or "")


def now() -> str:
    """The date and time, UTC, to the second."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def gpu_state() -> dict[str, str] | None:
    """Driver, clocks and power of torch's current GPU as its own tool reports them; None where there is none.

    They fall back as soon as the GPU idles: ask while, or right after, it works.
    """
    if not torch.cuda.is_available():
        return None
    fields = ("driver_version", "clocks.sm", "clocks.mem", "power.draw", "temperature.gpu")
    # Not its number: CUDA_VISIBLE_DEVICES renumbers the GPUs for torch, and not for the tool.
    uuid = torch.cuda.get_device_properties(torch.cuda.current_device()).uuid
    try:
        answer = _output_of(
            "nvidia-smi", f"--query-gpu={','.join(fields)}", "--format=csv,noheader", f"--id=GPU-{uuid}"
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return dict(zip(fields, (value.strip() for value in answer.split(",")), strict=False))


def cpu_clock(system: Path = Path("/")) -> dict[str, object]:
    """MHz of the first core now and at most, and the governor that chooses them; empty where none is told.

    A virtual machine often tells the present frequency alone, or a nominal one.
    """
    folder = system / "sys/devices/system/cpu/cpu0/cpufreq"
    now_khz, most_khz = _text(folder / "scaling_cur_freq"), _text(folder / "cpuinfo_max_freq")
    lines = _text(system / "proc/cpuinfo").splitlines()
    told = [line.partition(":")[2] for line in lines if line.startswith("cpu MHz")]
    mhz = int(now_khz) / 1000 if now_khz else float(told[0]) if told else None
    found = {
        "mhz": mhz and round(mhz),
        "most_mhz": round(int(most_khz) / 1000) if most_khz else None,
        "governor": _text(folder / "scaling_governor"),
    }
    return {name: value for name, value in found.items() if value}


def _text(path: Path) -> str:
    """What stands in a file of the system; empty where it is not there."""
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def load_average() -> float | None:
    """Processes that wanted to run, averaged over the last minute; None where the system does not say."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


def cpu_model() -> str:
    """The processor's name as its vendor writes it, else its architecture."""
    try:
        if platform.system() == "Darwin":
            return _output_of("sysctl", "-n", "machdep.cpu.brand_string")
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except (OSError, subprocess.SubprocessError):
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _physical_cores() -> int | None:
    """Distinct (package, core) pairs as Linux lists them; None elsewhere."""
    places = {
        tuple((folder / name).read_text() for name in ("physical_package_id", "core_id"))
        for folder in Path("/sys/devices/system/cpu").glob("cpu[0-9]*/topology")
    }
    return len(places) or None


def _usable_cores() -> int | None:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def _version(package: str) -> str | None:
    if package == "torch":  # the running one knows its build suffix, its metadata may not
        return str(torch.__version__)
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def product_commit(root: Path) -> str | None:
    """The commit of the checkout at `root`, "+changes" if tracked files differ.

    Where it is no checkout, as in an image, it is what $BCBP_COMMIT says, else None.
    """
    if not (root / ".git").exists():
        return os.environ.get("BCBP_COMMIT") or None
    try:
        commit = _output_of("git", "-C", str(root), "rev-parse", "HEAD")
        changed = _output_of("git", "-C", str(root), "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return None
    return f"{commit}+changes" if changed else commit


def _output_of(*command: str) -> str:
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=10)
    return done.stdout.strip()
