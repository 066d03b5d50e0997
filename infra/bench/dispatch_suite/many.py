"""That thousands in flight are held for minutes: as many at the end as at first, in the same memory."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Iterator

import uvloop

from infra.bench.dispatch_suite.contenders import dispatching
from infra.bench.dispatch_suite.holding import Users, nodes_at
from infra.bench.dispatch_suite.serving import engines
from infra.bench.report import Finding
from streams.clock import SystemClock

_MANY = 2_000
_MANY_MS = 4_000.0
_MANY_S = 300.0


def run() -> Iterator[Finding]:
    """Two thousand for five minutes, the first of which is for growing."""
    with engines(2, _MANY_MS) as urls:
        yield from uvloop.run(_many(urls))


async def _many(urls: list[str]) -> list[Finding]:
    async with dispatching(nodes_at(urls, _MANY), SystemClock(), goal_ms=60_000) as dispatch:
        users = Users(dispatch, _MANY + 500)
        await asyncio.sleep(_MANY_S / 5)
        minutes: list[int] = []
        before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        in_flight: list[int] = []
        for _ in range(4):
            before = users.answered
            await asyncio.sleep(_MANY_S / 5)
            minutes.append(users.answered - before)
            in_flight.append(sum(node.in_flight for node in dispatch.dispatch.nodes()))
        grown_mib = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib) / 1_024
        await users.stop()
    return [
        Finding(
            what=f"{_MANY:,} in flight: the least",
            ours=min(in_flight),
            unit="in flight",
            target=_MANY * 0.99,
            bound="at least",
        ),
        Finding(
            what=f"{_MANY:,} in flight: the worst minute, beside the best",
            ours=min(minutes),
            unit="posts",
            peer=max(minutes),
            target=0.95,
            bound="at least",
        ),
        Finding(what=f"{_MANY:,} in flight: memory grew by", ours=grown_mib, unit="MiB", target=32),
    ]
