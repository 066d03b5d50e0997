"""The raw limit: librdkafka in a plain loop, with nothing around it.

Consume what there is, work, `produce_batch`; librdkafka chooses the partitions. Every second either all is
flushed and the positions are committed, or, with delivery reports, what is confirmed without a gap is.
Several sources have a consumer each, and the most urgent one is always asked first.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import confluent_kafka as ck

from infra.bench.engine_suite.jobs import Job, Stopwatch
from infra.bench.engine_suite.works import worker
from infra.kafka import consumer_options, producer_options
from schemas.settings import EngineSettings, KafkaSettings

_KAFKA = KafkaSettings()
_BATCH = EngineSettings().batch_records_max
_COMMIT_EVERY_S = 1.0
_WAIT_S = 0.05

Place = tuple[str, int]
Making = Callable[[str, Sequence[ck.Message]], Mapping[str, list[dict[str, Any]]]]
"""From a source and its messages to what is written to which topic."""


class _Account(Protocol):
    """Which offsets may be committed."""

    def report_for(self, source: str, messages: list[ck.Message]) -> Callable[..., None] | None:
        """Note what is handed to the producer; what its delivery reports are to call."""
        ...

    def marks(self, producer: ck.Producer) -> dict[Place, int]:
        """What may be committed now."""
        ...


@dataclass
class _Flushing:
    """All of what was read, once all of it is written."""

    watch: Stopwatch
    positions: dict[Place, int] = field(default_factory=dict)
    unconfirmed: Counter[str] = field(default_factory=Counter)

    def report_for(self, source: str, messages: list[ck.Message]) -> None:
        self.unconfirmed[source] += len(messages)
        self.positions |= _ends(source, messages)

    def marks(self, producer: ck.Producer) -> dict[Place, int]:
        if left := producer.flush(60):
            raise TimeoutError(f"{left} records were not written")
        for source, records in self.unconfirmed.items():
            self.watch.confirmed(source, records)
        self.unconfirmed.clear()
        positions, self.positions = self.positions, {}
        return positions


@dataclass
class _Reporting:
    """The batches that are reported whole, up to the first that is not."""

    watch: Stopwatch
    batches: deque[tuple[list[int], dict[Place, int]]] = field(default_factory=deque)

    def report_for(self, source: str, messages: list[ck.Message]) -> Callable[..., None]:
        left = [len(messages)]
        self.batches.append((left, _ends(source, messages)))

        def report(error: ck.KafkaError | None, _message: ck.Message) -> None:
            if error is not None:
                raise ck.KafkaException(error)
            left[0] -= 1
            if not left[0]:
                self.watch.confirmed(source, len(messages))

        return report

    def marks(self, _producer: ck.Producer) -> dict[Place, int]:
        found: dict[Place, int] = {}
        while self.batches and not self.batches[0][0][0]:
            found |= self.batches.popleft()[1]
        return found


def flushing(job: Job, watch: Stopwatch) -> None:
    """The loop that flushes."""
    _loop(job, watch, _Flushing(watch), _working(job))


def reporting(job: Job, watch: Stopwatch, making: Making | None = None) -> None:
    """The loop with delivery reports."""
    _loop(job, watch, _Reporting(watch), making or _working(job))


def _working(job: Job) -> Making:
    """The job's work: an output with the record's key for each."""
    work = worker(job.work)
    return lambda source, messages: {
        job.routes[source]: [
            {"value": work(message.value() or b""), "key": message.key()} for message in messages
        ]
    }


def _loop(job: Job, watch: Stopwatch, account: _Account, making: Making) -> None:
    consumers = {source: _consumer(job, source) for source in job.routes}
    # Java's hash of a key, as ours: the default is another.
    producer = ck.Producer(producer_options(_KAFKA, job.bootstrap) | {"partitioner": "murmur2_random"})
    commit_at_s = time.perf_counter() + _COMMIT_EVERY_S
    while not watch.is_done:
        for source, messages in _fetched(consumers):
            watch.begin()
            made = making(source, messages)
            report = account.report_for(source, messages)
            for target, outgoing in made.items():
                _produce(producer, target, outgoing, report)
        producer.poll(0)
        if time.perf_counter() >= commit_at_s:
            _commit(consumers, account.marks(producer))
            commit_at_s = time.perf_counter() + _COMMIT_EVERY_S
    _commit(consumers, account.marks(producer))
    watch.end()
    for consumer in consumers.values():
        consumer.close()


def _consumer(job: Job, source: str) -> ck.Consumer:
    options = consumer_options(_KAFKA, job.bootstrap, f"{job.group}-{source}")
    consumer = ck.Consumer(options | {"auto.offset.reset": "earliest"})
    consumer.subscribe([source])
    return consumer


def _fetched(consumers: dict[str, ck.Consumer]) -> list[tuple[str, list[ck.Message]]]:
    """A batch of each source that has one; waits only where none has."""
    found = [(source, consumer.consume(_BATCH, 0)) for source, consumer in consumers.items()]
    if not any(messages for _, messages in found):
        first, consumer = next(iter(consumers.items()))
        wait_s = _WAIT_S if len(consumers) == 1 else 0.001
        # For one only: waiting for more would wait for all of them.
        found = [(first, consumer.consume(1, wait_s))]
    for _, messages in found:
        for message in messages:
            if error := message.error():
                raise ck.KafkaException(error)
    return [(source, messages) for source, messages in found if messages]


def _produce(
    producer: ck.Producer, topic: str, outgoing: list[dict[str, Any]], report: Callable[..., None] | None
) -> None:
    options: dict[str, Any] = {} if report is None else {"on_delivery": report}
    while producer.produce_batch(topic, outgoing, **options) < len(outgoing):
        # What did not fit into the queue is marked, and offered again.
        outgoing = [message for message in outgoing if message.pop("_error", None) is not None]
        producer.poll(0.01)


def _ends(source: str, messages: Sequence[ck.Message]) -> dict[Place, int]:
    return {(source, message.partition() or 0): (message.offset() or 0) + 1 for message in messages}


def _commit(consumers: dict[str, ck.Consumer], marks: dict[Place, int]) -> None:
    for source, consumer in consumers.items():
        offsets = [
            ck.TopicPartition(topic, at, mark) for (topic, at), mark in marks.items() if topic == source
        ]
        if offsets:
            consumer.commit(offsets=offsets, asynchronous=False)
