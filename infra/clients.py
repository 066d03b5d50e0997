"""Small Kafka clients for commands: one that writes a few records, one that reads a topic without a group.

Both are librdkafka's, made from `infra.kafka`'s options. The reader assigns partitions itself and commits
nothing: a command that looks at a topic must leave no trace in the cluster. Kafka's errors end here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)

from infra.errors import ExitCode, Failure
from infra.kafka import (
    REACH_WITHIN_S,
    await_broker,
    bootstrap_of,
    consumer_options,
    producer_options,
    unreachable,
)
from schemas.settings import Settings
from streams.core.partitioning import partition_of
from streams.ports import Headers

# librdkafka wants a group's name even from a reader that never joins one.
_NO_GROUP = "penstock-command"
_ANSWER_WITHIN_S = 10.0
_POLL_S = 0.2
_BATCH_MAX = 500


class Found(NamedTuple):
    """One record, as a reader finds it."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None


class Cluster(NamedTuple):
    """A broker that answered."""

    bootstrap: str
    partitions: Mapping[str, int]
    """Of each topic that exists."""
    brokers: int


def reach(settings: Settings, *, within_s: float = REACH_WITHIN_S) -> Cluster:
    """The cluster of these settings, once it answers."""
    return look(settings, bootstrap_of(settings), within_s=within_s)


def look(settings: Settings, bootstrap: str, *, within_s: float) -> Cluster:
    """The cluster at this address, once it answers."""
    seen = await_broker(settings.kafka, bootstrap, within_s=within_s)
    partitions = {name: len(topic.partitions) for name, topic in seen.topics.items()}
    return Cluster(bootstrap, partitions, len(seen.brokers))


def partitions_of(cluster: Cluster, topic: str) -> int:
    """How many partitions a topic has that must be there."""
    count = cluster.partitions.get(topic, 0)
    if not count:
        raise Failure(
            f"The topic {topic} does not exist at {cluster.bootstrap}: make the topics with "
            "`penstock topics create`.",
            exit_code=ExitCode.TOPICS,
        )
    return count


class Writer:
    """Writes records, each to the partition that murmur2 gives its key, and waits until Kafka has them."""

    def __init__(self, settings: Settings, cluster: Cluster, *, patience_s: float | None = None) -> None:
        options = producer_options(settings.kafka, cluster.bootstrap)
        if patience_s is None:
            # What a person waits for is told within the time of a request. Without idempotence, for which
            # librdkafka waits half a second before the first record: a record that is sent again after a lost
            # answer stands there twice, under the same id or subject, and counts once. The order stays.
            patience_s = _ANSWER_WITHIN_S
            options |= {"enable.idempotence": False, "max.in.flight.requests.per.connection": 1}
        options |= {
            "delivery.timeout.ms": int(patience_s * 1_000),
            "request.timeout.ms": int(_ANSWER_WITHIN_S * 1_000) // 2,
        }
        self._producer = Producer(options)
        self._cluster = cluster
        self._refused: tuple[str, KafkaError] | None = None

    def write(
        self,
        topic: str,
        key: bytes,
        value: bytes | None,
        headers: Headers = (),
        *,
        is_wanted: Callable[[], bool] = lambda: True,
        on_placed: Callable[[str, int, int], None] = lambda *_: None,
        on_expired: Callable[[], None] | None = None,
    ) -> None:
        """Hand one record over; topic, partition and offset are told once Kafka has it.

        Waits where the local queue is full, as long as the record is wanted. A record that Kafka has not
        taken in its time is a failure, unless there is somebody to be told so.
        """
        partition = partition_of(key, partitions_of(self._cluster, topic))

        def delivered(error: KafkaError | None, message: Message) -> None:
            if error is None:
                on_placed(topic, partition, message.offset() or 0)
            elif on_expired is not None and error.code() == KafkaError._MSG_TIMED_OUT:  # noqa: SLF001
                on_expired()
            elif self._refused is None:
                self._refused = topic, error

        while is_wanted():
            try:
                self._producer.produce(
                    topic,
                    value=value,
                    key=key,
                    partition=partition,
                    headers=[*headers],
                    on_delivery=delivered,
                )
                self._producer.poll(0)
                return
            except BufferError:
                self._producer.poll(_POLL_S)
            except KafkaException as error:
                raise _refused(topic, error.args[0]) from None

    def serve(self) -> None:
        """Take note of what Kafka has confirmed or refused since; a `Failure` for the latter."""
        self._producer.poll(0)
        if self._refused is not None:
            raise _refused(*self._refused)

    def flush(self) -> None:
        """Wait until everything is confirmed; a `Failure` if something is not."""
        left = self._producer.flush(_ANSWER_WITHIN_S + 1)
        if self._refused is not None:
            raise _refused(*self._refused)
        if left:
            raise unreachable(self._cluster.bootstrap, _ANSWER_WITHIN_S)

    def __len__(self) -> int:
        return len(self._producer)


class Reader:
    """Reads topics from a chosen place, all partitions, without a group."""

    def __init__(self, settings: Settings, cluster: Cluster) -> None:
        self._cluster = cluster
        self._consumer = Consumer(
            consumer_options(settings.kafka, cluster.bootstrap, _NO_GROUP) | {"enable.partition.eof": False}
        )

    def close(self) -> None:
        """Leave."""
        self._consumer.close()

    def start_at_end(self, topics: Sequence[str]) -> None:
        """What is written from now on; the place is fixed on return: a record written next is seen."""
        self._assign(
            [TopicPartition(topic, partition, high) for topic, partition, _, high in self._bounds(topics)]
        )

    def start_at_beginning(self, topics: Sequence[str], only: int | None = None) -> None:
        """Everything that is there; of one partition, where one is named."""
        self._assign(
            [
                TopicPartition(topic, partition, OFFSET_BEGINNING)
                for topic, partition, _, _ in self._bounds(topics, only)
            ]
        )

    def start_before_end(self, topics: Sequence[str], records: int) -> None:
        """The last so many records of each partition: enough for the last so many of all."""
        self._assign(
            [
                TopicPartition(topic, partition, max(low, high - records))
                for topic, partition, low, high in self._bounds(topics)
            ]
        )

    def ends(self, topics: Sequence[str], only: int | None = None) -> dict[tuple[str, int], int]:
        """The offset after the last record of each partition that has any; or of one partition."""
        return {
            (topic, partition): high
            for topic, partition, low, high in self._bounds(topics, only)
            if high > low
        }

    def read(self, *, within_s: float = _POLL_S) -> Iterator[Found]:
        """What has come; returns after a moment if nothing has."""
        try:
            # `consume` alone would wait for a full batch, or its whole time.
            first = self._consumer.poll(within_s)
            messages = [] if first is None else [first, *self._consumer.consume(_BATCH_MAX - 1, 0)]
        except KafkaException as error:
            raise _unreadable(error.args[0]) from None
        for message in messages:
            problem = message.error()
            if problem is None:
                yield _found(message)
            elif problem.fatal() or problem.code() == KafkaError._AUTO_OFFSET_RESET:  # noqa: SLF001
                raise _unreadable(problem)
            # Anything else mends itself: a broker that is away, a leader that moves.

    def _bounds(self, topics: Sequence[str], only: int | None = None) -> Iterator[tuple[str, int, int, int]]:
        for topic in topics:
            partitions = range(partitions_of(self._cluster, topic)) if only is None else (only,)
            for partition in partitions:
                low, high = self._bounds_of(TopicPartition(topic, partition))
                yield topic, partition, low, high

    def _bounds_of(self, place: TopicPartition) -> tuple[int, int]:
        """Asked again until it is answered: a topic made a moment ago has no leader yet, and says so."""
        deadline = time.monotonic() + _ANSWER_WITHIN_S
        while True:
            try:
                low, high = self._consumer.get_watermark_offsets(place, timeout=_ANSWER_WITHIN_S)
            except KafkaException:
                if time.monotonic() >= deadline:
                    raise unreachable(self._cluster.bootstrap, _ANSWER_WITHIN_S) from None
                time.sleep(_POLL_S)
            else:
                return low, high

    def _assign(self, partitions: list[TopicPartition]) -> None:
        self._consumer.assign(partitions)


def _found(message: Message) -> Found:
    return Found(
        message.topic() or "",
        message.partition() or 0,
        message.offset() or 0,
        message.timestamp()[1],
        message.key(),
        message.value(),
    )


def _refused(topic: str, error: KafkaError) -> Failure:
    if error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
        return Failure(
            f"The record is larger than {topic} takes: shorten the text; a post of more than 64 KiB is not "
            "judged anyhow.",
            exit_code=ExitCode.USAGE,
        )
    if error.fatal():
        return Failure(f"Kafka refused to go on: {error.str()}.", exit_code=ExitCode.PRODUCER_FATAL)
    return Failure(
        f"Kafka did not take the record for {topic} ({error.str()}): see `penstock doctor`.",
        exit_code=ExitCode.KAFKA_UNREACHABLE,
    )


def _unreadable(error: KafkaError) -> Failure:
    if error.code() == KafkaError._AUTO_OFFSET_RESET:  # noqa: SLF001  The public name of a code begins so.
        return Failure(
            "Kafka has deleted the records that were to be read next: start again, from what is there.",
            exit_code=ExitCode.POSITION_LOST,
        )
    return Failure(
        f"Kafka cannot be read ({error.str()}): see `penstock doctor`.", exit_code=ExitCode.KAFKA_UNREACHABLE
    )
