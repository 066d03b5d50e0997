"""What a trickle of records waits: a rate that nobody is busy with, through one contender after another."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from infra.bench.engine_suite.arena import PARTITIONS, Arena
from infra.bench.engine_suite.effort import Effort, percentile
from infra.bench.engine_suite.jobs import Job
from infra.bench.engine_suite.pacing import Pacer

_RATE = 1_000
SENT_MIN = 2_000
FIRST = PARTITIONS
"""Records ahead of those that count, one to a partition: they only show that everybody is there."""


def percentiles(
    effort: Effort, contenders: Iterable[str], latencies_of: Callable[[str], list[float]]
) -> dict[str, float]:
    """`NAME p50` and `NAME p99` of each in milliseconds, the medians of all rounds."""

    def one_round() -> dict[str, float]:
        figures: dict[str, float] = {}
        for name in contenders:
            latencies_ms = latencies_of(name)
            figures[f"{name} p50"] = percentile(latencies_ms, 0.5)
            figures[f"{name} p99"] = percentile(latencies_ms, 0.99)
        return figures

    return effort.medians(one_round)


def latencies_ms(arena: Arena, job: Job, source: str, target: str, value: bytes, records: int) -> list[float]:
    """How long each of these records took from its sending until its output could be read."""
    # There is room for everybody, so nobody is told where to run.
    job = msgspec.structs.replace(job, cpus=())
    pacer = Pacer(arena.bootstrap, source, target, partitions=PARTITIONS)
    try:
        with arena.running(job) as running:
            pacer.send(value, FIRST, _RATE)
            found = pacer.send(value, records, _RATE)
            running.outcome()
    finally:
        pacer.close()
    return [latency_ms for _, latency_ms in found]
