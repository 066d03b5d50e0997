"""What waiting costs without an engine: a task of asyncio for each record, which sleeps and then produces.

Consumer and producer are librdkafka's; nothing is settled in order, and nothing is committed. So many tasks
are under way at once as there are to be records in flight.
"""

from __future__ import annotations

import asyncio

import confluent_kafka as ck

from infra.bench.engine_suite.jobs import Job, Stopwatch
from infra.kafka import consumer_options, producer_options
from schemas.settings import KafkaSettings

_KAFKA = KafkaSettings()
_POLL_S = 0.002
_BATCH = 500


async def run(job: Job, watch: Stopwatch) -> None:
    """Begin with records as others end."""
    [(source, target)] = job.routes.items()
    consumer = ck.Consumer(
        consumer_options(_KAFKA, job.bootstrap, job.group) | {"auto.offset.reset": "earliest"}
    )
    consumer.subscribe([source])
    producer = ck.Producer(producer_options(_KAFKA, job.bootstrap))
    loop = asyncio.get_running_loop()
    under_way: set[asyncio.Task[None]] = set()

    async def one(message: ck.Message) -> None:
        await asyncio.sleep(job.wait_ms / 1_000)
        written: asyncio.Future[None] = loop.create_future()
        # The reports are collected by the loop's own thread, so the future may be set from one.
        producer.produce(
            target, message.value(), message.key(), on_delivery=lambda *_: written.set_result(None)
        )
        await written
        watch.confirmed(source)

    while not watch.is_done:
        room = min(_BATCH, job.in_flight - len(under_way))
        for message in consumer.consume(room, 0) if room > 0 else ():
            watch.begin()
            task = asyncio.ensure_future(one(message))
            under_way.add(task)
            task.add_done_callback(under_way.discard)
        producer.poll(0)
        await asyncio.sleep(_POLL_S)
    watch.end()
    consumer.close()
