"""Memory while many records go by: it must not grow with their number."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from statistics import median

from infra.bench.engine_suite.arena import Arena
from infra.bench.engine_suite.effort import Effort
from infra.bench.report import Finding

_LOOK_EVERY_S = 0.1
_GROWTH_MAX = 1.1
_LOOKS_MIN = 20


def run(arena: Arena, effort: Effort) -> Iterable[Finding]:
    """One long run: the end of it beside the end of its first third."""
    source = arena.filled("soak", effort.soak_events)
    job = arena.job("ours", "triage", {source: arena.topic("verdicts")}, {source: effort.soak_events})
    seen: list[float] = []
    with arena.running(job) as contender:
        while contender.process.poll() is None:
            seen.append(_resident_mb(contender.process.pid))
            time.sleep(_LOOK_EVERY_S)
        contender.outcome()
    if len(seen) < _LOOKS_MIN:
        raise AssertionError(f"{len(seen)} looks at a process say nothing of it: give it more records")
    # The beginning is imports and joining; the very end is the stop.
    tenth = len(seen) // 10
    yield Finding(
        what=f"memory over {effort.soak_events:,} records",
        ours=median(seen[8 * tenth : 9 * tenth + 1]),
        peer=median(seen[3 * tenth : 4 * tenth + 1]),
        unit="MB",
        target=_GROWTH_MAX,
    )


def _resident_mb(pid: int) -> float:
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    except OSError:
        return 0.0
    found = [line.split()[1] for line in status.splitlines() if line.startswith("VmRSS:")]
    return int(found[0]) / 1_024 if found else 0.0
