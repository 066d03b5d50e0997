"""The plain loop: librdkafka alone, `consume`, work, `produce_batch`, commit what is confirmed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import confluent_kafka as ck

from infra.bench.engine_suite import raw
from infra.bench.engine_suite.jobs import Job, Stopwatch
from infra.bench.triage_suite.work import Work, topics_of
from schemas.event import Source


def run(job: Job, watch: Stopwatch) -> None:
    """The engine suite's raw loop with delivery reports, and this work in it."""
    work = Work(topics_of(job))

    def making(source: str, messages: Sequence[ck.Message]) -> Mapping[str, list[dict[str, Any]]]:
        made: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
        for message in messages:
            outgoing = work(message.value() or b"", _source(source, message))
            made[outgoing.topic].append({"value": outgoing.value, "key": outgoing.key})
        return made

    raw.reporting(job, watch, making)


def _source(topic: str, message: ck.Message) -> Source:
    return Source(
        topic=topic,
        partition=message.partition() or 0,
        offset=message.offset() or 0,
        timestamp_ms=message.timestamp()[1],
    )
