"""Memory while many records go by: it must not grow with their number."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import linear_regression

from infra.bench.engine_suite.arena import Arena
from infra.bench.engine_suite.effort import Effort
from infra.bench.report import Finding

_LOOK_EVERY_S = 0.1
_LOOKS_MIN = 20
# Five bytes a record: what is kept of each, if anything is, takes ten times as much.
_MB_PER_MILLION_MAX = 5.0


def run(arena: Arena, effort: Effort) -> Iterable[Finding]:
    """One long run. Its first half is imports, joining, and buffers that find their size."""
    source = arena.filled("soak", effort.soak_events)
    job = arena.job("ours", "triage", {source: arena.topic("verdicts")}, {source: effort.soak_events})
    seen: list[float] = []
    with arena.running(job) as contender:
        while contender.process.poll() is None:
            seen.append(resident_mb(contender.process.pid))
            time.sleep(_LOOK_EVERY_S)
        contender.outcome()
    if len(seen) < _LOOKS_MIN:
        raise AssertionError(f"{len(seen)} looks at a process say nothing of it: give it more records")
    print("  resident MB, ten times on the way: " + " ".join(f"{mb:.0f}" for mb in seen[:: len(seen) // 10]))
    # The very end is the stop.
    second_half = seen[len(seen) // 2 : len(seen) * 19 // 20]
    yield Finding(what="memory, at most", ours=max(seen), unit="MB")
    yield Finding(
        what="memory of a million records more",
        ours=growth_mb(second_half, share=0.45) / (effort.soak_events / 1e6),
        unit="MB",
        target=_MB_PER_MILLION_MAX,
    )


def growth_mb(looks: Sequence[float], *, share: float) -> float:
    """How much a whole run would grow at the slope of looks that cover this share of it."""
    return linear_regression(range(len(looks)), looks).slope * len(looks) / share


def resident_mb(pid: int) -> float:
    """What a process has in memory; 0 once it is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    except OSError:
        return 0.0
    found = [line.split()[1] for line in status.splitlines() if line.startswith("VmRSS:")]
    return int(found[0]) / 1_024 if found else 0.0
