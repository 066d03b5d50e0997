"""From a record to its output at a rate that nobody is busy with."""

from __future__ import annotations

from collections.abc import Iterable

from infra.bench.engine_suite.arena import Arena
from infra.bench.engine_suite.effort import Effort
from infra.bench.engine_suite.trickle import FIRST, SENT_MIN, latencies_ms, percentiles
from infra.bench.report import Finding

_EVENTS_SHARE = 40
_CONTENDERS = ("raw, reports", "ours", "aiokafka")
# The raw loop with reports is the peer: the one that flushes stops for it once a second.
_P50_RATIO_MAX = 1.2
_P99_RATIO_MAX = 2.0


def run(arena: Arena, effort: Effort) -> Iterable[Finding]:
    """The same trickle through each."""
    records = max(SENT_MIN, effort.events // _EVENTS_SHARE)

    def latencies_of(contender: str) -> list[float]:
        source, target = arena.topic("trickle"), arena.topic("verdicts")
        job = arena.job(contender, "pass", {source: target}, {source: records + FIRST})
        return latencies_ms(arena, job, source, target, arena.post, records)

    figures = percentiles(effort, _CONTENDERS, latencies_of)
    for at, target in (("p50", _P50_RATIO_MAX), ("p99", _P99_RATIO_MAX)):
        peer = figures[f"raw, reports {at}"]
        yield Finding(what=f"latency {at}, aiokafka", ours=figures[f"aiokafka {at}"], peer=peer, unit="ms")
        yield Finding(
            what=f"latency {at}, ours", ours=figures[f"ours {at}"], peer=peer, unit="ms", target=target
        )
