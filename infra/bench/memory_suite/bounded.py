"""Memory while many digests go by: it must not grow with their number; and the disk keeps to its bound.

Beside a dict that keeps all, and SQLite that is held to about as many bytes by deleting its oldest rows.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from statistics import linear_regression

from infra.bench.engine_suite.arena import Arena
from infra.bench.engine_suite.effort import Effort
from infra.bench.report import Finding

# Ten bytes a digest, if it were kept; an entry of a dict takes eighty times as much.
_MB_PER_MILLION_MAX = 10.0
# The bound is 128 MiB; a file is written before the oldest leaves, and some is still in memory.
_DISK_MIB_MAX = 192.0
# A dict of so many says what a million cost.
_DICT_DIGESTS = 200_000


def run(arena: Arena, effort: Effort) -> Iterable[Finding]:
    """Three processes, one after the other. The first half of each is buffers that find their size."""
    ours = _looked(arena, "ours", effort.soak_events)
    peer = _looked(arena, "dict", min(_DICT_DIGESTS, effort.soak_events))
    sqlite = _looked(arena, "sqlite", effort.soak_events)
    yield Finding(
        what="memory a million digests cost",
        ours=max(0.0, _mb_per_million(ours)),
        unit="MB",
        target=_MB_PER_MILLION_MAX,
    )
    yield Finding(what="the same in a dict", ours=_mb_per_million(peer), unit="MB")
    yield Finding(what="the same in SQLite", ours=max(0.0, _mb_per_million(sqlite)), unit="MB")
    yield Finding(what="resident at the end, beside SQLite", ours=ours[-1][1], unit="MB", peer=sqlite[-1][1])
    yield Finding(what="memos held at the end", ours=ours[-1][2], unit="memos")
    yield Finding(what="the same in SQLite's file", ours=sqlite[-1][2], unit="memos")
    yield Finding(what="most on disk", ours=_most_mib(ours), unit="MiB", target=_DISK_MIB_MAX)
    yield Finding(what="the same, beside SQLite", ours=_most_mib(ours), unit="MiB", peer=_most_mib(sqlite))


def _mb_per_million(looks: list[list[float]]) -> float:
    later = looks[len(looks) // 2 :]
    slope, _ = linear_regression([look[0] for look in later], [look[1] for look in later])
    return slope * 1e6


def _most_mib(looks: list[list[float]]) -> float:
    return max(look[3] for look in looks) / 2**20


def _looked(arena: Arena, side: str, digests: int) -> list[list[float]]:
    command = [sys.executable, "-m", "infra.bench.memory_suite.soak", side, str(digests)]
    command.append(str(arena.directory / f"soak-{side}"))
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [[float(figure) for figure in line.split()] for line in said.splitlines()]
