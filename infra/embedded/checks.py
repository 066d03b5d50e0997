"""What `doctor` asks about the embedded Kafka: would it start here, and if not, what to do. Only looks."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from infra.embedded.artifacts import read_lock
from infra.embedded.cluster import EmbeddedKafka
from infra.embedded.jars import cache_directory, missing
from infra.embedded.java import OVERHEAD_MB, java_path
from infra.embedded.ports import HOST, is_free
from infra.embedded.preparing import FREE_BYTES_MIN
from infra.errors import Failure
from schemas.settings import EmbeddedSettings


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at; `advice` says what to do where it is not `ok`."""

    name: str
    ok: bool
    detail: str
    advice: str = ""


def findings(data_dir: Path, settings: EmbeddedSettings) -> list[Finding]:
    """Everything that the embedded Kafka of a Penstock data directory needs."""
    directory = data_dir / "kafka"
    found = [java(), jars(settings), disk(directory)]
    if EmbeddedKafka(directory, settings).status().state == "running":
        # It has the memory and the ports that it needs.
        return found
    needed_mb = settings.brokers * (settings.heap_mb + OVERHEAD_MB)
    return [*found, memory(needed_mb, available_mb()), port(settings.port, is_free)]


def java() -> Finding:
    """The Java runtime."""
    try:
        path = java_path()
        release = (path.parent.parent / "release").read_text(encoding="utf-8")
    except (Failure, OSError) as error:
        return Finding("java", ok=False, detail=str(error), advice="install Penstock's requirements anew")
    version = next((line for line in release.splitlines() if line.startswith("JAVA_VERSION=")), "")
    return Finding("java", ok=True, detail=f"Java {version.partition('=')[2].strip(chr(34))} at {path}")


def jars(settings: EmbeddedSettings) -> Finding:
    """The jars: there, and as locked."""
    lock = read_lock()
    cache = cache_directory(settings.cache_dir)
    absent = missing(lock.of("kafka"), cache)
    name, whole = "kafka jars", len(lock.of("kafka"))
    if absent:
        detail = f"{len(absent)} of {whole} jars of Kafka {lock.version} are not in {cache}, or not as locked"
        return Finding(
            name, ok=False, detail=detail, advice="`penstock kafka fetch` brings them; so does a start"
        )
    return Finding(name, ok=True, detail=f"Kafka {lock.version}: {whole} jars, all as locked, in {cache}")


def disk(directory: Path) -> Finding:
    """Room for the data, and the right to write."""
    place = next(one for one in (directory, *directory.absolute().parents) if one.exists())
    if not place.is_dir() or not os.access(place, os.W_OK):
        return Finding(
            "kafka directory", ok=False, detail=f"{place} cannot be written", advice="give --data-dir"
        )
    free_mb = shutil.disk_usage(place).free >> 20
    if free_mb << 20 < FREE_BYTES_MIN:
        return Finding(
            "kafka directory", ok=False, detail=f"{place} has {free_mb} MB left", advice="make room"
        )
    return Finding("kafka directory", ok=True, detail=f"{directory}, {free_mb} MB left")


def memory(needed_mb: int, free_mb: int) -> Finding:
    """Whether the brokers fit into what is free."""
    detail = f"the brokers may take {needed_mb} MB of {free_mb} MB"
    if free_mb < needed_mb:
        return Finding(
            "kafka memory", ok=False, detail=detail, advice="lower embedded.heap_mb, or free memory"
        )
    return Finding("kafka memory", ok=True, detail=detail)


def port(wish: int, is_free_now: Callable[[int], bool]) -> Finding:
    """Whether the port that was asked for can be had."""
    if not wish:
        return Finding("kafka port", ok=True, detail="any free one, kept for this data directory")
    if is_free_now(wish):
        return Finding("kafka port", ok=True, detail=f"{HOST}:{wish} is free")
    advice = "stop what listens there, or set embedded.port to another, or to 0 for any"
    return Finding("kafka port", ok=False, detail=f"{HOST}:{wish} is taken", advice=advice)


def available_mb() -> int:
    """What new processes can have: of the machine, and within the container's bound if there is one."""
    bounds = [_machine_mb()]
    try:
        group = Path("/sys/fs/cgroup")
        limit = (group / "memory.max").read_text(encoding="ascii").strip()
        if limit != "max":
            bounds.append(int(limit) - int((group / "memory.current").read_text(encoding="ascii")) >> 20)
    except (OSError, ValueError):
        # No such bound, or not told in this way.
        pass
    return max(0, min(bounds))


def _machine_mb() -> int:
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) >> 10
    except OSError:
        # Not Linux: what there is in all is known everywhere.
        pass
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 20
