"""From nothing to the first records: an interpreter, its imports, a place in the group, a fetch."""

from __future__ import annotations

import time
from collections.abc import Iterable

from infra.bench.engine_suite.arena import PARTITIONS, Arena
from infra.bench.engine_suite.effort import Effort
from infra.bench.report import Finding

_CONTENDERS = ("raw, reports", "ours")
_WITHIN_S = 2.0


def run(arena: Arena, effort: Effort) -> Iterable[Finding]:
    """A record in each partition, and a process that is started for them."""
    source = arena.filled("few", PARTITIONS)

    def one_round() -> dict[str, float]:
        return {name: _seconds(arena, name, source) for name in _CONTENDERS}

    figures = effort.medians(one_round)
    yield Finding(what="start to first records, raw", ours=figures["raw, reports"], unit="s")
    yield Finding(what="start to first records, ours", ours=figures["ours"], unit="s", target=_WITHIN_S)


def _seconds(arena: Arena, name: str, source: str) -> float:
    job = arena.job(name, "pass", {source: arena.topic("verdicts")}, {source: PARTITIONS})
    began_s = time.perf_counter()
    return arena.run(job).ended_s - began_s
