"""Filling an empty directory from the changelog, beside a consumer that reads the same and keeps nothing."""

from __future__ import annotations

import time
from collections.abc import Iterable
from statistics import median

import confluent_kafka as ck

from infra.bench.engine_suite.arena import Arena
from infra.bench.engine_suite.effort import Effort
from infra.bench.memory_suite.memos import LIMITS, memo
from infra.bench.report import Finding
from infra.kafka import librdkafka_options, producer_options
from schemas.settings import KafkaSettings
from schemas.wire import encode
from streams.remembered import RocksMemory
from streams.restoring import Changelog, Progress
from streams.rocks import BlockCache

_RECORDS_MAX = 500_000
# Either is enough: the one on a machine that is free, the other on one that is not.
_PER_SECOND_MIN = 100_000.0
_SHARE_MIN = 0.5
_AT_ONCE = 2_000
_CACHE_BYTES = 8 << 20


def run(arena: Arena, effort: Effort) -> Iterable[Finding]:
    """One partition, in turns."""
    records = min(effort.events, _RECORDS_MAX)
    topic = _filled(arena, records)
    changelog = Changelog(topic, librdkafka_options(KafkaSettings(), arena.bootstrap))
    ours: list[float] = []
    peer: list[float] = []
    for turn in range(effort.rounds):
        peer.append(_read_per_second(arena, topic, records))
        store = RocksMemory(arena.directory / f"restored-{turn}", LIMITS, BlockCache(_CACHE_BYTES))
        ours.append(_per_second(changelog, store, records))
        store.close()
    per_second, read = median(ours), median(peer)
    yield Finding(what="restored, beside a consumer", ours=per_second, unit="records/s", peer=read)
    yield Finding(
        what="restored",
        ours=per_second,
        unit="records/s",
        target=min(_PER_SECOND_MIN, _SHARE_MIN * read),
        bound="at least",
    )
    arena.delete(topic)


def _filled(arena: Arena, records: int) -> str:
    topic = arena.topic("changelog", partitions=1)
    producer = ck.Producer(producer_options(KafkaSettings(), arena.bootstrap))
    for number in range(records):
        one = memo(number)
        while len(producer) > 50_000:
            producer.poll(0.1)
        producer.produce(topic, encode(one), one.question_digest.encode(), 0)
    if left := producer.flush(60):
        raise TimeoutError(f"{left} records of the changelog were not written")
    return topic


def _read_per_second(arena: Arena, topic: str, records: int) -> float:
    """The plainest loop over librdkafka, with its own options."""
    options = librdkafka_options(KafkaSettings(), arena.bootstrap)
    consumer = ck.Consumer({**options, "group.id": "none", "enable.auto.commit": False})
    began_s = time.perf_counter()
    consumer.assign([ck.TopicPartition(topic, 0, 0)])
    found = 0
    while found < records:
        found += len(consumer.consume(_AT_ONCE, 1.0))
    took_s = time.perf_counter() - began_s
    consumer.close()
    return records / took_s


def _per_second(changelog: Changelog, memory: RocksMemory, records: int) -> float:
    progress = Progress()
    began_s = time.perf_counter()
    changelog.restore(0, memory, progress, lambda: True)
    # It is not usable before all is on disk.
    memory.restored(progress.position)
    took_s = time.perf_counter() - began_s
    if (progress.records, memory.next_offset) != (records, records):
        raise AssertionError(f"{progress.records} of {records} were read")
    return records / took_s
