"""A stage of its own for tests of the engine: real Faust, real Kafka, work that finishes out of order.

Every record is worked on for a while chosen by its offset, then copied to an output topic; it is settled when
the copy is confirmed. What the copies say afterwards is the test: which inputs are missing, which came twice.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import confluent_kafka as ck
import faust
from confluent_kafka.admin import AdminClient, NewTopic

from infra.kafka import aiokafka_group_options, aiokafka_options, producer_options
from schemas.settings import KafkaSettings
from streams.app import each_batch, stage_app
from streams.clock import SystemClock
from streams.core.failing import Patience
from streams.core.pressure import Bounds
from streams.failing import Failing
from streams.fetching import TransportOptions
from streams.partitions import Batch, Partitions
from streams.ports import Outgoing, Record
from streams.publishing import KafkaPublisher
from streams.rescuing import Rescuer

PARTITIONS = 4
BOUNDS = Bounds(
    partition_records_max=500, partition_bytes_max=16 << 20, total_records_max=4_000, total_bytes_max=64 << 20
)

Work = Callable[[Record], float]
"""How many seconds a record takes."""


def uneven(record: Record) -> float:
    """0 to 30 ms, and one in fifty ten times as long: nothing ends in the order it began in."""
    chance = random.Random(record.offset * 31 + record.partition)
    return chance.random() * 0.03 * (10 if chance.random() < 0.02 else 1)


def at_once(record: Record) -> float:
    """Nothing to wait for."""
    return 0.0


class Stage:
    """One member of the group, in this process."""

    def __init__(
        self,
        bootstrap: str,
        prefix: str,
        directory: Path,
        *,
        name: str = "a",
        work: Work = uneven,
        drain_timeout_ms: int = 5_000,
        bounds: Bounds = BOUNDS,
        is_bad: Callable[[Record], bool] = lambda _: False,
        patience: Patience | None = None,
        commit_interval_ms: int = 200,
        commit_records_max: int = 20_000,
        rescuer: Rescuer | None = None,
    ) -> None:
        kafka = KafkaSettings(bootstrap=bootstrap, session_timeout_ms=6_000, heartbeat_interval_ms=1_000)
        self.clock = SystemClock()
        self.prefix = prefix
        self.work = work
        self.is_bad = is_bad
        self.publisher = KafkaPublisher(producer_options(kafka, bootstrap), on_fatal=self._fatal)
        self.failures: list[Exception] = []
        self.partitions = Partitions(
            stage="test",
            group=f"{prefix}group",
            clock=self.clock,
            bounds=lambda: bounds,
            urgency_of=lambda topic: 0 if topic.endswith("urgent") else 1,
            commit_records_max=commit_records_max,
        )
        self.app = stage_app(
            group=f"{prefix}group",
            options=TransportOptions(
                partitions=self.partitions,
                consumer_options=aiokafka_options(kafka, bootstrap) | aiokafka_group_options(kafka),
                rescuer=rescuer or Rescuer({"bootstrap.servers": bootstrap}),
                batch_records_max=200,
                drain_timeout_ms=drain_timeout_ms,
            ),
            datadir=directory,
            instance=f"{prefix}{name}",
            commit_interval_ms=commit_interval_ms,
        )
        self._jobs: set[asyncio.Task[None]] = set()
        self.condemned: list[Record] = []
        self.failing = Failing(
            self.partitions, condemn=self._condemn, stop_worker=self.failures.append, patience=patience
        )
        topics = [f"{prefix}urgent", f"{prefix}patient"]

        @self.app.agent(self.app.topic(*topics), name="test")
        async def agent(stream: faust.StreamT[Batch]) -> None:
            await each_batch(stream, self._handle, self.failing)

    async def _handle(self, batch: Batch) -> None:
        await self.publisher.room(len(batch.records), batch.size_bytes)
        if any(map(self.is_bad, batch.records)):
            raise ValueError
        for record in batch.records:
            job = asyncio.ensure_future(self._one(batch, record))
            self._jobs.add(job)
            job.add_done_callback(self._jobs.discard)

    async def _one(self, batch: Batch, record: Record) -> None:
        await asyncio.sleep(self.work(record))
        copy = Outgoing(f"{self.prefix}out", record.partition, record.key, record.value or b"")
        await self.publisher.publish([copy])
        batch.settle(record.offset)

    def _condemn(self, batch: Batch, record: Record, bug: Exception) -> None:
        self.condemned.append(record)
        batch.settle(record.offset)

    def _fatal(self, reason: str) -> None:
        self.failures.append(RuntimeError(reason))


@asynccontextmanager
async def running(stage: Stage) -> AsyncIterator[Stage]:
    """Start a stage, and stop it cleanly."""
    await stage.app.start()
    try:
        yield stage
    finally:
        await stage.app.stop()
        await stage.publisher.close(5)


def make_topics(bootstrap: str, prefix: str) -> None:
    """The two inputs and the output of a test."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    names = [f"{prefix}{name}" for name in ("urgent", "patient", "out")]
    for made in admin.create_topics([NewTopic(name, PARTITIONS, 1) for name in names]).values():
        made.result(30)


def produce(bootstrap: str, topic: str, values: range) -> None:
    """Numbered records, spread over the partitions."""
    producer = ck.Producer({"bootstrap.servers": bootstrap, "linger.ms": 20})
    for value in values:
        producer.produce(topic, str(value).encode(), None, value % PARTITIONS)
        producer.poll(0)
    assert producer.flush(30) == 0


def copies(bootstrap: str, prefix: str) -> Counter[int]:
    """How often each number stands in the output now."""
    consumer = ck.Consumer(
        {"bootstrap.servers": bootstrap, "group.id": "unused", "enable.auto.commit": False}
    )
    tps = [ck.TopicPartition(f"{prefix}out", partition, 0) for partition in range(PARTITIONS)]
    left = {tp.partition: end for tp in tps if (end := consumer.get_watermark_offsets(tp, timeout=10)[1])}
    consumer.assign(tps)
    found: Counter[int] = Counter()
    while left:
        for message in consumer.consume(1_000, 1):
            found[int(message.value() or b"-1")] += 1
            if message.offset() + 1 >= left.get(message.partition(), 0):
                left.pop(message.partition(), None)
    consumer.close()
    return found


def committed(bootstrap: str, prefix: str) -> dict[tuple[str, int], int]:
    """Where the group stands, as the brokers say: asked from outside, not from the stage."""
    consumer = ck.Consumer({"bootstrap.servers": bootstrap, "group.id": f"{prefix}group"})
    tps = [
        ck.TopicPartition(f"{prefix}{name}", partition)
        for name in ("urgent", "patient")
        for partition in range(PARTITIONS)
    ]
    known = consumer.committed(tps, timeout=10)
    consumer.close()
    return {(tp.topic, tp.partition): max(tp.offset, 0) for tp in known}
