"""Processes by their number, without mistaking a stranger for a child.

A number is given anew to another process, a number with the time of its start is not.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path


def started_at(pid: int) -> str:
    """When a process began, as the system tells it; empty where there is none, or only its corpse."""
    stat = Path(f"/proc/{pid}/stat")
    if Path("/proc/self/stat").exists():
        try:
            # The name, in brackets, may hold anything; what follows it does not.
            fields = stat.read_bytes().rpartition(b")")[2].split()
            # While other threads of it still run, as the JVM's do for a moment, it holds what it held.
            is_corpse = fields[0] == b"Z" and len(list(stat.with_name("task").iterdir())) <= 1
        except OSError:
            return ""
        return "" if is_corpse else fields[19].decode()
    listed = subprocess.run(
        ["/bin/ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return listed.stdout.strip()


def command_of(pid: int) -> str:
    """The command line of a process, for telling one of ours from a stranger; empty where there is none."""
    listed = subprocess.run(
        ["/bin/ps", "-ww", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return listed.stdout.strip()


def is_running(pid: int, started: str) -> bool:
    """Whether the process that began then is still there."""
    return bool(started) and started_at(pid) == started


def signal_group(pid: int, number: signal.Signals) -> bool:
    """Send a signal to the process group that a child leads; False where nobody is left."""
    try:
        os.killpg(pid, number)
    except (ProcessLookupError, PermissionError):
        # PermissionError: on macOS what a group of corpses answers.
        return False
    return True


def stop_group(pid: int, *, within_s: float) -> None:
    """End a group that is not ours to wait for: politely, then not. Returns when it is gone."""
    deadline = time.monotonic() + within_s
    if not signal_group(pid, signal.SIGTERM):
        return
    while started_at(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    signal_group(pid, signal.SIGKILL)
    while started_at(pid) and time.monotonic() < deadline + 2:
        time.sleep(0.02)
