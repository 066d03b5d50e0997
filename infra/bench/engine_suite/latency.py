"""From a record to its output at a rate that nobody is busy with."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from infra.bench.engine_suite.arena import PARTITIONS, Arena
from infra.bench.engine_suite.effort import Effort, percentile
from infra.bench.engine_suite.pacing import Pacer
from infra.bench.report import Finding

_RATE = 1_000
_EVENTS_SHARE = 40
_SENT_MIN = 2_000
_CONTENDERS = ("raw, reports", "ours", "aiokafka")
# The raw loop with reports is the peer: the one that flushes stops for it once a second.
_P50_RATIO_MAX = 1.2
_P99_RATIO_MAX = 2.0


def run(arena: Arena, effort: Effort) -> Iterable[Finding]:
    """The same trickle through each."""
    records = max(_SENT_MIN, effort.events // _EVENTS_SHARE)

    def one_round() -> dict[str, float]:
        figures: dict[str, float] = {}
        for name in _CONTENDERS:
            latencies_ms = _latencies_ms(arena, name, records)
            figures[f"{name} p50"] = percentile(latencies_ms, 0.5)
            figures[f"{name} p99"] = percentile(latencies_ms, 0.99)
        return figures

    figures = effort.medians(one_round)
    for at, target in (("p50", _P50_RATIO_MAX), ("p99", _P99_RATIO_MAX)):
        peer = figures[f"raw, reports {at}"]
        yield Finding(what=f"latency {at}, aiokafka", ours=figures[f"aiokafka {at}"], peer=peer, unit="ms")
        yield Finding(
            what=f"latency {at}, ours", ours=figures[f"ours {at}"], peer=peer, unit="ms", target=target
        )


def _latencies_ms(arena: Arena, contender: str, records: int) -> list[float]:
    source, target = arena.topic("trickle"), arena.topic("verdicts")
    # The first ones only show that everybody is there.
    job = arena.job(contender, "pass", {source: target}, {source: records + PARTITIONS})
    # There is room for everybody, so nobody is told where to run.
    job = msgspec.structs.replace(job, cpus=())
    pacer = Pacer(arena.bootstrap, source, target, partitions=PARTITIONS)
    try:
        with arena.running(job) as running:
            pacer.send(arena.post, PARTITIONS, _RATE)
            found = pacer.send(arena.post, records, _RATE)
            running.outcome()
    finally:
        pacer.close()
    return [latency_ms for _, latency_ms in found]
