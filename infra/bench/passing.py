"""Two ways of passing records from one topic to another, nothing lost: the engine's, and a plain loop's.

Both read all of a topic in batches, write a copy of each record to the partition of the same number, and
commit an offset only when everything below it is confirmed. Only the time between the first record and the
last commit counts, not what joining a group takes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

import confluent_kafka as ck
import faust
import uvloop

from infra.kafka import (
    aiokafka_group_options,
    aiokafka_options,
    consumer_options,
    librdkafka_options,
    producer_options,
)
from schemas.settings import EngineSettings, KafkaSettings
from streams.app import each_batch, stage_app
from streams.clock import SystemClock
from streams.core.pressure import Bounds
from streams.partitions import Batch, Partitions
from streams.ports import Outgoing
from streams.publishing import KafkaPublisher
from streams.rescuing import Rescuer
from streams.transport import TransportOptions

_ENGINE = EngineSettings()
_BOUNDS = Bounds(
    partition_records_max=_ENGINE.unsettled_records_max,
    total_records_max=_ENGINE.unsettled_records_total_max,
    total_bytes_max=_ENGINE.unsettled_bytes_total_max,
)
_POLL_S = 0.1
_WITHIN_S = 60.0


@dataclass(frozen=True, slots=True)
class Passage:
    """From where to where, and how many records there are to pass."""

    bootstrap: str
    source: str
    target: str
    records: int
    kafka: KafkaSettings = field(default_factory=KafkaSettings)


@dataclass(slots=True)
class Spent:
    """What a passage took, from its first record on."""

    began_s: float = 0.0
    began_cpu_s: float = 0.0
    wall_s: float = 0.0
    cpu_s: float = 0.0

    def begin(self) -> None:
        """The first record is here; later calls change nothing."""
        if not self.began_s:
            self.began_s, self.began_cpu_s = time.perf_counter(), time.process_time()

    def end(self) -> None:
        """The last record is committed."""
        self.wall_s = time.perf_counter() - self.began_s
        self.cpu_s = time.process_time() - self.began_cpu_s


# -- ours ---------------------------------------------------------------------------------------------------


def engine(passage: Passage, group: str, directory: Path) -> Spent:
    """Faust with our transport under it, our publisher behind it, and an agent that only copies."""
    return uvloop.run(_engine(passage, group, directory))


async def _engine(passage: Passage, group: str, directory: Path) -> Spent:
    spent = Spent()
    partitions = Partitions(
        stage="bench", group=group, clock=SystemClock(), bounds=lambda: _BOUNDS, urgency_of=lambda _: 0
    )
    publisher = KafkaPublisher(producer_options(passage.kafka, passage.bootstrap), on_fatal=_give_up)
    app = stage_app(
        group=group,
        options=_transport_options(passage, partitions),
        datadir=directory,
        instance=None,
        commit_interval_ms=_ENGINE.commit_interval_ms,
    )

    async def copy(batch: Batch) -> None:
        spent.begin()
        copies = [
            Outgoing(passage.target, record.partition, record.key, record.value or b"")
            for record in batch.records
        ]
        await publisher.room(len(copies))
        publisher.publish(copies).add_done_callback(lambda _: batch.settle_all())

    @app.agent(app.topic(passage.source), name="bench")
    async def agent(stream: faust.StreamT[Batch]) -> None:
        await each_batch(stream, copy, _raise)

    await app.start()
    try:
        async with asyncio.timeout(_WITHIN_S):
            while partitions.counts.settled < passage.records:
                partitions.progress.clear()
                await partitions.progress.wait()
            await app.consumer.commit()
        spent.end()
    finally:
        await app.stop()
        await publisher.close(1.0)
    return spent


def _transport_options(passage: Passage, partitions: Partitions) -> TransportOptions:
    return TransportOptions(
        partitions=partitions,
        consumer_options=aiokafka_options(passage.kafka, passage.bootstrap)
        | aiokafka_group_options(passage.kafka),
        rescuer=Rescuer(librdkafka_options(passage.kafka, passage.bootstrap)),
        batch_records_max=_ENGINE.batch_records_max,
        drain_timeout_ms=_ENGINE.drain_timeout_ms,
    )


def _raise(reason: Exception) -> None:
    raise reason


def _give_up(reason: str) -> None:
    raise RuntimeError(reason)


# -- a plain loop -------------------------------------------------------------------------------------------


def plain_loop(passage: Passage, group: str) -> Spent:
    """Only librdkafka: consume, produce_batch, delivery reports, a commit at the same interval."""
    spent = Spent()
    consumer = ck.Consumer(
        consumer_options(passage.kafka, passage.bootstrap, group) | {"auto.offset.reset": "earliest"}
    )
    producer = ck.Producer(producer_options(passage.kafka, passage.bootstrap))
    ledger = _Ledger()
    consumer.subscribe([passage.source])
    try:
        deadline_s = time.perf_counter() + _WITHIN_S
        commit_at_s = 0.0
        while ledger.confirmed < passage.records:
            for partition, messages in _by_partition(consumer.consume(_ENGINE.batch_records_max, _POLL_S)):
                spent.begin()
                _copy(producer, passage.target, partition, messages, ledger.handed_over(partition, messages))
            producer.poll(0)
            if time.perf_counter() >= commit_at_s:
                _commit(consumer, passage.source, ledger)
                commit_at_s = time.perf_counter() + _ENGINE.commit_interval_ms / 1_000
            if time.perf_counter() > deadline_s:
                raise TimeoutError(f"{ledger.confirmed} of {passage.records} records after {_WITHIN_S} s")
        _commit(consumer, passage.source, ledger)
        spent.end()
    finally:
        consumer.close()
        producer.flush(1.0)
    return spent


class _Ledger:
    """What is confirmed, by batch: the first of a partition that is not confirmed whole holds its mark."""

    def __init__(self) -> None:
        self.confirmed = 0
        self._open: dict[int, list[list[int]]] = {}  # By partition: [records left, the offset behind them].

    def handed_over(self, partition: int, messages: list[ck.Message]) -> Callable[..., None]:
        """Note a batch; gives what its delivery reports are to call."""
        entry = [len(messages), (messages[-1].offset() or 0) + 1]
        self._open.setdefault(partition, []).append(entry)

        def report(error: ck.KafkaError | None, _message: ck.Message) -> None:
            if error is not None:
                raise ck.KafkaException(error)
            entry[0] -= 1
            self.confirmed += 1

        return report

    def marks(self) -> Iterator[tuple[int, int]]:
        """The partitions whose mark has moved, and the offset to commit."""
        for partition, entries in self._open.items():
            mark = None
            while entries and not entries[0][0]:
                mark = entries.pop(0)[1]
            if mark is not None:
                yield partition, mark


def _by_partition(messages: list[ck.Message]) -> Iterator[tuple[int, list[ck.Message]]]:
    for message in messages:
        if message.error() is not None:
            raise ck.KafkaException(message.error())
    ordered = sorted(messages, key=_partition_of)
    return ((partition, list(found)) for partition, found in groupby(ordered, _partition_of))


def _partition_of(message: ck.Message) -> int:
    return message.partition() or 0


def _copy(
    producer: ck.Producer,
    topic: str,
    partition: int,
    messages: list[ck.Message],
    report: Callable[..., None],
) -> None:
    copies = [{"value": message.value(), "key": message.key()} for message in messages]
    while copies:
        producer.produce_batch(topic, copies, partition, on_delivery=report)
        # What did not fit into the queue is marked, and offered again.
        copies = [
            {"value": copy["value"], "key": copy["key"]} for copy in copies if copy.get("_error") is not None
        ]
        if copies:
            producer.poll(_POLL_S)


def _commit(consumer: ck.Consumer, topic: str, ledger: _Ledger) -> None:
    marks = [ck.TopicPartition(topic, partition, mark) for partition, mark in ledger.marks()]
    if marks:
        consumer.commit(offsets=marks, asynchronous=False)
