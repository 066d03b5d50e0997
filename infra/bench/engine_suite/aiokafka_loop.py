"""A plain loop on aiokafka alone: `getmany`, work, `send_batch` to a named partition, commit what is written.

What a fetch brought is awaited as a whole every second, and its positions are committed then. The others
leave the partition to the key; `send_batch` cannot, and each of its batches lingers for itself.
"""

from __future__ import annotations

import asyncio
import time

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from infra.bench.engine_suite.jobs import Job, Stopwatch
from infra.bench.engine_suite.works import worker
from infra.kafka import aiokafka_group_options, aiokafka_options
from schemas.settings import EngineSettings, KafkaSettings

_KAFKA = KafkaSettings()
_BATCH = EngineSettings().batch_records_max
_COMMIT_EVERY_S = 1.0
_BATCHES_UNDER_WAY_MAX = 64


async def run(job: Job, watch: Stopwatch) -> None:
    """Read, work, write, commit."""
    options = aiokafka_options(_KAFKA, job.bootstrap)
    consumer = AIOKafkaConsumer(
        *job.routes, **options, **aiokafka_group_options(_KAFKA), group_id=job.group, max_poll_records=_BATCH
    )
    producer = AIOKafkaProducer(
        **options,
        acks="all",
        enable_idempotence=True,
        linger_ms=_KAFKA.linger_ms,
        max_batch_size=_KAFKA.batch_bytes_max,
        compression_type=_KAFKA.compression,
    )
    await consumer.start()
    await producer.start()
    try:
        await _loop(job, watch, consumer, producer)
    finally:
        await consumer.stop()
        await producer.stop()


async def _loop(job: Job, watch: Stopwatch, consumer: AIOKafkaConsumer, producer: AIOKafkaProducer) -> None:
    work = worker(job.work)
    written: list[asyncio.Future[object]] = []
    positions: dict[TopicPartition, int] = {}
    read = dict.fromkeys(job.routes, 0)
    commit_at_s = time.perf_counter() + _COMMIT_EVERY_S
    while not watch.is_done:
        fetched = await consumer.getmany(timeout_ms=50)
        for tp, records in fetched.items():
            watch.begin()
            batches = _batches(producer, [(record.key, work(record.value)) for record in records])
            target = job.routes[tp.topic]
            written += [await producer.send_batch(batch, target, partition=tp.partition) for batch in batches]
            positions[tp] = records[-1].offset + 1
            read[tp.topic] += len(records)
        is_full = len(written) >= _BATCHES_UNDER_WAY_MAX
        if is_full or not fetched or time.perf_counter() >= commit_at_s:
            await asyncio.gather(*written)
            for source, records_read in read.items():
                watch.confirmed(source, records_read)
            written, read = [], dict.fromkeys(job.routes, 0)
        if positions and (time.perf_counter() >= commit_at_s or watch.is_done):
            await consumer.commit(positions)
            positions = {}
            commit_at_s = time.perf_counter() + _COMMIT_EVERY_S
    watch.end()


def _batches(producer: AIOKafkaProducer, outgoing: list[tuple[bytes, bytes]]) -> list[object]:
    batches = [producer.create_batch()]
    for key, value in outgoing:
        if batches[-1].append(key=key, value=value, timestamp=None) is None:
            batches.append(producer.create_batch())
            batches[-1].append(key=key, value=value, timestamp=None)
    return list(batches)
