"""What the doctor looks at on this machine: Python, the data directory, room, memory, ports."""

from __future__ import annotations

import os
import platform
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from infra.doctor.findings import Finding, fail, ok, warn
from infra.embedded.checks import available_mb
from infra.errors import ExitCode
from schemas.settings import Settings

_PYTHONS = ((3, 11), (3, 13))
# Measured: a worker takes 110 to 150 MB at rest, the reference node 60.
_WORKER_MB = 200
_NODE_MB = 80
# A day of a busy demonstration, and Kafka's own files.
_DISK_MB = 1_024


def of_machine(settings: Settings) -> Iterator[Finding]:
    """Everything that can be seen without asking anybody."""
    yield python()
    yield data_dir(Path(settings.data_dir))
    yield memory(settings, available_mb())
    yield from ports(settings)


def python() -> Finding:
    """The interpreter."""
    first, last = _PYTHONS
    version = platform.python_version()
    if first <= sys.version_info[:2] <= last:
        return ok("python", f"{version} at {sys.executable}")
    tried = f"{first[0]}.{first[1]} to {last[0]}.{last[1]}"
    return warn(
        "python", f"{version}; Penstock was tried with {tried}", "use one of these if anything is odd"
    )


def data_dir(path: Path) -> Finding:
    """Whether the data directory can be written, and how much room there is. What is missing is not made."""
    place = next(one for one in (path, *path.absolute().parents) if one.exists())
    try:
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        detail = f"{path} cannot be written ({error.strerror})"
        return fail("data directory", detail, "name another with --data-dir", ExitCode.TAKEN)
    free_mb = shutil.disk_usage(place).free >> 20
    if free_mb < _DISK_MB:
        return warn("data directory", f"{path}, {free_mb} MB left", "make room, Kafka stops on a full disk")
    return ok("data directory", f"{path.absolute()}, {free_mb} MB left")


def memory(settings: Settings, free_mb: int) -> Finding:
    """Whether the workers and the node fit; what Kafka takes is told beside Kafka."""
    needed_mb = settings.supervise.workers * _WORKER_MB + (0 if settings.nodes else _NODE_MB)
    detail = f"workers and node may take {needed_mb} MB of {free_mb} MB, on {os.cpu_count()} processors"
    if free_mb < needed_mb:
        return warn("memory", detail, "free some, or lower supervise.workers")
    return ok("memory", detail)


def ports(settings: Settings) -> Iterator[Finding]:
    """The ports that were asked for; any free one is always there."""
    wishes = {
        "http.port": (settings.http.host, settings.http.port),
        "reference_node.port": (settings.reference_node.host, settings.reference_node.port),
    }
    for name, (host, port) in wishes.items():
        if not port:
            continue
        problem = _bind_problem(host, port)
        if problem:
            # Perhaps by ourselves, which is as it should be.
            advice = (
                f"if that is not Penstock itself, stop what listens there, or set {name} to another or to 0"
            )
            yield warn(name, f"{host}:{port} {problem}", advice)
        else:
            yield ok(name, f"{host}:{port} is free")


def _bind_problem(host: str, port: int) -> str:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return f"cannot be had ({error.strerror})"
    return ""
