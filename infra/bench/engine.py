"""What the engine costs: records through it on a real broker, beside plain loops that lose as little.

This is the first section of `make bench-engine` in short, without the contenders that are no limit to us.
"""

from __future__ import annotations

from collections.abc import Iterable

from infra.bench.engine_suite import speed
from infra.bench.engine_suite.arena import arena
from infra.bench.engine_suite.effort import Effort
from infra.bench.report import Finding

_EFFORT = Effort(rounds=3, events=150_000, soak_events=0)
_CONTENDERS = ("raw", "raw, reports", "ours")


def run() -> Iterable[Finding]:
    """Copy records, and do a fast path's work on them, in turns."""
    with arena() as ground:
        yield from speed.run(ground, _EFFORT, _CONTENDERS)
