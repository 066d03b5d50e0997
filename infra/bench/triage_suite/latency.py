"""From a content record to its verdict: 1,000 posts in a second, whether or not the last are answered."""

from __future__ import annotations

from collections.abc import Iterable

from infra.bench.engine_suite.arena import Arena
from infra.bench.engine_suite.effort import Effort
from infra.bench.engine_suite.trickle import FIRST, SENT_MIN, latencies_ms, percentiles
from infra.bench.report import Finding
from infra.bench.triage_suite.ground import job_for, stage_topics
from infra.bench.triage_suite.work import dated_post

_EVENTS_SHARE = 10
_CONTENDERS = ("plain loop", "stage")
_P50_MS_MAX = 10.0
_P99_RATIO_MAX = 2.0


def run(arena: Arena, effort: Effort) -> Iterable[Finding]:
    """The same trickle of posts that rules decide through both."""
    records = max(SENT_MIN, effort.events // _EVENTS_SHARE)

    def latencies_of(contender: str) -> list[float]:
        topics = stage_topics(arena)
        job = job_for(arena, contender, topics, records + FIRST)
        return latencies_ms(arena, job, topics.content("critical"), topics.verdicts, dated_post(), records)

    figures = percentiles(effort, _CONTENDERS, latencies_of)
    yield Finding(what="record to verdict, p50", ours=figures["stage p50"], unit="ms", target=_P50_MS_MAX)
    yield Finding(what="p50, plain loop", ours=figures["plain loop p50"], unit="ms")
    yield Finding(
        what="record to verdict, p99",
        ours=figures["stage p99"],
        peer=figures["plain loop p99"],
        unit="ms",
        target=_P99_RATIO_MAX,
    )
