"""The timing process is played by small scripts here: what is tested is how it is followed and ended."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bcbp.request import CompareRequest
from bcbp.timing import TimingJob
from bcbp.timing_process import TimingError, run_timing
from kernels.measure import Stopped

ROOT = Path(__file__).resolve().parents[2]
JOB = TimingJob(CompareRequest(), {})


def follow(script: str, *, should_stop=lambda: False) -> list[dict]:
    events: list[dict] = []
    run_timing(JOB, on_event=events.append, should_stop=should_stop, command=[sys.executable, "-c", script])
    return events


def test_events_arrive_in_order_and_the_job_is_handed_over():
    script = (
        "import json; job = json.loads(input())\n"
        "for i in range(3): print(json.dumps({'event': 'x', 'share': i, 'rounds': job['request']['rounds']}))"
    )
    assert [(event["share"], event["rounds"]) for event in follow(script)] == [(0, 15), (1, 15), (2, 15)]


def test_an_error_event_is_raised_as_it_was_worded():
    script = """input(); print('{"event": "error", "message": "Expected a model; got none."}')"""
    with pytest.raises(TimingError, match=r"^Expected a model; got none\.$"):
        follow(script)


def test_a_crash_is_told_by_its_last_line():
    with pytest.raises(TimingError, match="RuntimeError: broken"):
        follow("input(); raise RuntimeError('broken')")


def test_a_process_that_never_reads_its_job_is_a_failure_not_a_hang():
    with pytest.raises(TimingError, match="exit code 3"):
        follow("import os; os._exit(3)")


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_a_killed_process_is_told_by_its_signal():
    with pytest.raises(TimingError, match="SIGKILL"):
        follow("import os; input(); os.kill(os.getpid(), 9)")


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks into /proc")
def test_stop_ends_the_process_and_what_it_started(tmp_path: Path):
    script = (
        "import subprocess, sys; input()\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        f"open({str(tmp_path / 'pid')!r}, 'w').write(str(child.pid))\n"
        """print('{"event": "progress"}', flush=True); child.wait()"""
    )
    with pytest.raises(Stopped):
        follow(
            script, should_stop=lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text() != ""
        )
    pid = int((tmp_path / "pid").read_text())
    assert _gone(pid)


def _gone(pid: int) -> bool:
    """Whether a process has ended (a zombie that nobody reaps has)."""
    for _ in range(200):
        status = Path(f"/proc/{pid}/stat")
        if not status.exists() or status.read_text().rsplit(")", 1)[1].split()[0] == "Z":
            return True
        time.sleep(0.05)
    return False


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks into /proc")
def test_the_timing_process_ends_when_its_parent_is_killed(tmp_path: Path):
    """The guard of `timing_child` in a grandchild: killing the one between closes the last one's stdin."""
    last = "from bcbp import timing_child; import sys; sys.stdin.readline(); timing_child.end_with_parent()"
    middle = (
        "import subprocess, sys, time\n"
        f"child = subprocess.Popen([sys.executable, '-c', {last!r}], stdin=subprocess.PIPE)\n"
        "child.stdin.write(b'job\\n'); child.stdin.flush(); print(child.pid, flush=True); time.sleep(600)"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, "-c", middle], stdout=subprocess.PIPE, env=environment) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        parent.kill()
        parent.wait()
    assert _gone(pid)
