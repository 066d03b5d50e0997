"""Whether a broker runs: it holds a lock that it was born with, which the system takes back when it ends.

The lock is taken before the JVM exists and inherited by it. So there is no moment in which two can start, and
neither a stale file nor a process number that was given anew can be mistaken for a running broker.
"""

from __future__ import annotations

import fcntl
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from infra.embedded.properties import Place

_POLL_S = 0.02


def lock_path(directory: Path, place: Place) -> Path:
    """The lock of one broker of the instance in a directory."""
    return directory / place.home / "running.lock"


def is_held(path: Path) -> bool:
    """Whether a living process holds the lock."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return not _flock(descriptor, fcntl.LOCK_SH)
    finally:
        os.close(descriptor)


def take(path: Path, patience_s: float = 0.1) -> int | None:
    """Take the lock: a descriptor for the child to inherit, or None if another process keeps it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    if becomes(lambda: _flock(descriptor, fcntl.LOCK_EX), patience_s):
        return descriptor
    os.close(descriptor)
    return None


def _flock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def sole_operator(path: Path) -> Iterator[None]:
    """Let one process at a time start or stop; others wait, no longer than its spawning or stopping takes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def send_signal(pid: int, number: signal.Signals) -> None:
    """Signal a process that may just have ended."""
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def becomes(state: Callable[[], bool], within_s: float) -> bool:
    """Wait for a state of another process, which can only be asked for."""
    deadline = time.monotonic() + within_s
    while not state():
        if time.monotonic() >= deadline:
            return False
        time.sleep(_POLL_S)
    return True
