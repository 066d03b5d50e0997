"""A critical record behind a backlog of others: how long it takes, and what it costs the others.

The peer is a raw loop with a consumer for each priority, which always asks the urgent one first.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

from infra.bench.engine_suite.arena import PARTITIONS, Arena
from infra.bench.engine_suite.effort import Effort, percentile
from infra.bench.engine_suite.pacing import Pacer
from infra.bench.report import Finding

_RATE = 400
# Records of the backlog for each urgent one: so many go by while the next one is due.
_BACKLOG_FOR_EACH = 250
_URGENT_MIN = 100
_RATIO_MAX = 1.5
_KEPT_MIN = 0.8
_BEGINS_WITHIN_S = 60.0
_CONTENDERS = ("raw, reports", "ours")


def run(arena: Arena, effort: Effort) -> Iterable[Finding]:
    """With urgent records and without."""
    low = arena.filled("low", effort.events)
    urgent = max(_URGENT_MIN, effort.events // _BACKLOG_FOR_EACH)

    def one_round() -> dict[str, float]:
        figures: dict[str, float] = {}
        for name in _CONTENDERS:
            _, alone = _behind(arena, name, low, effort.events, 0)
            latencies_ms, beside = _behind(arena, name, low, effort.events, urgent)
            figures |= {
                f"{name} p50": percentile(latencies_ms, 0.5),
                f"{name} p99": percentile(latencies_ms, 0.99),
                f"{name} kept": beside / alone,
            }
        return figures

    figures = effort.medians(one_round)
    yield Finding(
        what="urgent behind a backlog: p50",
        ours=figures["ours p50"],
        peer=figures["raw, reports p50"],
        unit="ms",
    )
    yield Finding(
        what="urgent behind a backlog: p99",
        ours=figures["ours p99"],
        peer=figures["raw, reports p99"],
        unit="ms",
        target=_RATIO_MAX,
    )
    yield Finding(what="the backlog's rate kept, raw", ours=figures["raw, reports kept"], unit="x")
    yield Finding(
        what="the backlog's rate kept, ours",
        ours=figures["ours kept"],
        unit="x",
        target=_KEPT_MIN,
        bound="at least",
    )


def _behind(arena: Arena, name: str, low: str, backlog: int, urgent: int) -> tuple[list[float], float]:
    """The latencies of those sent while the backlog was there, and the backlog's rate."""
    source, target, verdicts = arena.topic("urgent"), arena.topic("urgent-verdicts"), arena.topic("verdicts")
    routes = {source: target, low: verdicts}
    job = arena.job(name, "triage", routes, {source: urgent, low: backlog})
    pacer = Pacer(arena.bootstrap, source, target, partitions=PARTITIONS)
    try:
        with arena.running(job) as running:
            _await_output(arena, verdicts)
            found = pacer.send(arena.post, urgent, _RATE) if urgent else []
            outcome = running.outcome()
    finally:
        pacer.close()
    done_s = outcome.done_s[low]
    behind = [latency_ms for sent_s, latency_ms in found if sent_s < done_s]
    if urgent and not behind:
        raise AssertionError(f"{name}: no urgent record was sent while the backlog was there")
    return behind, backlog / (done_s - outcome.began_s)


def _await_output(arena: Arena, topic: str) -> None:
    deadline_s = time.monotonic() + _BEGINS_WITHIN_S
    while not sum(arena.ends(topic)):
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"nothing came out within {_BEGINS_WITHIN_S:g} s")
