"""From a content record to its verdict: 1,000 posts in a second, whether or not the last are answered."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from infra.bench.engine_suite.arena import PARTITIONS, Arena
from infra.bench.engine_suite.effort import Effort, percentile
from infra.bench.engine_suite.pacing import Pacer
from infra.bench.report import Finding
from infra.bench.triage_suite.ground import job_for, stage_topics
from infra.bench.triage_suite.work import dated_post

_RATE = 1_000
_EVENTS_SHARE = 10
_SENT_MIN = 2_000
_CONTENDERS = ("plain loop", "stage")
_P50_MS_MAX = 10.0
_P99_RATIO_MAX = 2.0


def run(arena: Arena, effort: Effort) -> Iterable[Finding]:
    """The same trickle of posts that rules decide through both."""
    records = max(_SENT_MIN, effort.events // _EVENTS_SHARE)

    def one_round() -> dict[str, float]:
        figures: dict[str, float] = {}
        for name in _CONTENDERS:
            latencies_ms = _latencies_ms(arena, name, records)
            figures[f"{name} p50"] = percentile(latencies_ms, 0.5)
            figures[f"{name} p99"] = percentile(latencies_ms, 0.99)
        return figures

    figures = effort.medians(one_round)
    yield Finding(what="record to verdict, p50", ours=figures["stage p50"], unit="ms", target=_P50_MS_MAX)
    yield Finding(what="p50, plain loop", ours=figures["plain loop p50"], unit="ms")
    yield Finding(
        what="record to verdict, p99",
        ours=figures["stage p99"],
        peer=figures["plain loop p99"],
        unit="ms",
        target=_P99_RATIO_MAX,
    )


def _latencies_ms(arena: Arena, contender: str, records: int) -> list[float]:
    topics = stage_topics(arena)
    # The first ones only show that everybody is there.
    job = msgspec.structs.replace(job_for(arena, contender, topics, records + PARTITIONS), cpus=())
    pacer = Pacer(arena.bootstrap, topics.content("critical"), topics.verdicts, partitions=PARTITIONS)
    post = dated_post()
    try:
        with arena.running(job) as running:
            pacer.send(post, PARTITIONS, _RATE)
            found = pacer.send(post, records, _RATE)
            running.outcome()
    finally:
        pacer.close()
    return [latency_ms for _, latency_ms in found]
