"""One `up` and one worker of a name in a data directory: locks that the system takes back by itself."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.errors import ExitCode, Failure


@contextmanager
def data_dir_lock(data_dir: Path) -> Iterator[None]:
    """Hold the data directory, made if need be; a `Failure` where that cannot be."""
    with name_lock(data_dir, "up", "`penstock up`"):
        yield


@contextmanager
def name_lock(data_dir: Path, name: str, who: str) -> Iterator[None]:
    """Be the only process of this name in a data directory; `who` is how the other one is spoken of."""
    path = data_dir / "run" / f"{name}.lock"
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


def not_writable(data_dir: Path, error: OSError) -> Failure:
    """What is said of a data directory that cannot be used."""
    return Failure(
        f"The data directory {data_dir} cannot be written ({error.strerror}): name another with --data-dir.",
        exit_code=ExitCode.TAKEN,
    )


def _take(descriptor: int, data_dir: Path, who: str) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        holder = os.read(descriptor, 20).decode("ascii", "replace").strip() or "unknown"
        raise Failure(
            f"{who} runs already for {data_dir} (pid {holder}): stop that one, or name another --data-dir.",
            exit_code=ExitCode.TAKEN,
        ) from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
