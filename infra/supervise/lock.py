"""One `up` and one worker of a name in a data directory: locks that the system takes back by itself."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.errors import ExitCode, Failure

UP = "up"
# Who only looks who holds a lock holds it for microseconds.
_PATIENCE_S = 0.1
_POLL_S = 0.01


@contextmanager
def data_dir_lock(data_dir: Path) -> Iterator[None]:
    """Hold the data directory, made if need be; a `Failure` where that cannot be."""
    with name_lock(data_dir, UP, "`penstock up`"):
        yield


@contextmanager
def name_lock(data_dir: Path, name: str, who: str) -> Iterator[None]:
    """Be the only process of this name in a data directory; `who` is how the other one is spoken of."""
    path = _path(data_dir, name)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise not_writable(data_dir, error) from None
    try:
        _take(descriptor, data_dir, who)
        yield
    finally:
        os.close(descriptor)


def holder_of(data_dir: Path, name: str) -> int | None:
    """The number of the process of this name in a data directory; None where none runs. Makes nothing."""
    try:
        descriptor = os.open(_path(data_dir, name), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        told = _told(descriptor)
        return int(told) if told.isdecimal() else None
    else:
        return None
    finally:
        os.close(descriptor)


def not_writable(data_dir: Path, error: OSError) -> Failure:
    """What is said of a data directory that cannot be used."""
    return Failure(
        f"The data directory {data_dir} cannot be written ({error.strerror}): name another with --data-dir.",
        exit_code=ExitCode.TAKEN,
    )


def _take(descriptor: int, data_dir: Path, who: str) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while not _is_taken(descriptor):
        if time.monotonic() >= deadline:
            holder = _told(descriptor) or "unknown"
            raise Failure(
                f"{who} runs already for {data_dir} (pid {holder}): stop that one, or name another "
                "--data-dir.",
                exit_code=ExitCode.TAKEN,
            )
        time.sleep(_POLL_S)
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)


def _is_taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _told(descriptor: int) -> str:
    """The number that the holder has written into its lock; empty in the moment before it does."""
    return os.pread(descriptor, 20, 0).decode("ascii", "replace").strip()


def _path(data_dir: Path, name: str) -> Path:
    return data_dir / "run" / f"{name}.lock"
