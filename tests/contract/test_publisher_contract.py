"""The port `Publisher`, held to its word by both implementations: in memory, and on a real broker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any, NamedTuple, Protocol

import confluent_kafka as ck
import pytest
from confluent_kafka.admin import AdminClient, NewTopic
from msgspec.structs import replace

from infra.kafka import producer_options
from schemas.settings import KafkaSettings
from streams.ports import BY_KEY, Outgoing, Publisher, PublishError, size_of
from streams.publishing import KafkaPublisher, MemoryPublisher

PARTITIONS = 3
WITHIN_S = 30.0
VALUE_BYTES_MAX = 2_000
"""Of the strict topic. Half of it is overhead enough for a batch of one record."""


class Written(NamedTuple):
    """A record as it stands in a topic."""

    partition: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]


class Harness(Protocol):
    """A publisher, and the sight of what it wrote."""

    publisher: Publisher
    topic: str
    strict: str
    """A topic that refuses some records for good."""

    def refused(self, number: int) -> Outgoing:
        """A record that will never be written."""
        ...

    async def written(self, topic: str) -> list[Written]: ...


class InMemory:
    """The shipped one without Kafka."""

    topic, strict = "topic", "strict"

    def __init__(self) -> None:
        self.publisher = MemoryPublisher()
        self.publisher.refused = {"refused"}

    def refused(self, number: int) -> Outgoing:
        return record("refused", number)

    async def written(self, topic: str) -> list[Written]:
        return [
            Written(one.partition, one.key, one.value, tuple(one.headers))
            for one in self.publisher.records
            if one.topic == topic
        ]


class OnKafka:
    """The real one on a real broker."""

    def __init__(self, bootstrap: str, prefix: str) -> None:
        self.topic, self.strict = f"{prefix}topic", f"{prefix}strict"
        self.fatal: list[str] = []
        self._bootstrap = bootstrap
        admin = AdminClient({"bootstrap.servers": bootstrap})
        strict = {"max.message.bytes": str(VALUE_BYTES_MAX)}
        topics = [NewTopic(self.topic, PARTITIONS, 1), NewTopic(self.strict, PARTITIONS, 1, config=strict)]
        for made in admin.create_topics(topics).values():
            made.result(WITHIN_S)
        self.publisher = self.made()

    def made(self, **options: Any) -> KafkaPublisher:
        # Not compressed, so that what is too large stays so.
        settings = KafkaSettings(bootstrap=self._bootstrap, compression="none")
        wanted = producer_options(settings, self._bootstrap) | options
        return KafkaPublisher(wanted, on_fatal=self.fatal.append)

    def refused(self, number: int) -> Outgoing:
        return record(self.strict, number, value=b"%d" % number + b"x" * 2 * VALUE_BYTES_MAX)

    async def written(self, topic: str) -> list[Written]:
        return await asyncio.to_thread(self._read, topic)

    def _read(self, topic: str) -> list[Written]:
        consumer = ck.Consumer(
            {"bootstrap.servers": self._bootstrap, "group.id": "unused", "enable.auto.commit": False}
        )
        tps = [ck.TopicPartition(topic, partition, 0) for partition in range(PARTITIONS)]
        left = sum(consumer.get_watermark_offsets(tp, timeout=WITHIN_S)[1] for tp in tps)
        consumer.assign(tps)
        found: list[Written] = []
        while len(found) < left:
            messages = consumer.consume(left - len(found), WITHIN_S)
            assert messages, f"{len(found)} of {left} records were read"
            found += [
                Written(one.partition(), one.key(), one.value(), tuple(one.headers() or ()))
                for one in messages
            ]
        consumer.close()
        return found


@pytest.fixture(params=["memory", pytest.param("kafka", marks=pytest.mark.broker)])
async def harness(request: pytest.FixtureRequest) -> AsyncIterator[Harness]:
    if request.param == "memory":
        yield InMemory()
        return
    on_kafka = OnKafka(request.getfixturevalue("kafka"), request.getfixturevalue("topics_prefix"))
    yield on_kafka
    await on_kafka.publisher.close(WITHIN_S)
    assert not on_kafka.fatal


def record(
    topic: str, number: int, *, value: bytes = b"", headers: Sequence[tuple[str, bytes]] = ()
) -> Outgoing:
    return Outgoing(topic, number % PARTITIONS, b"key %d" % number, value or b"value %d" % number, headers)


def numbers(found: Sequence[Written]) -> list[int]:
    return sorted(int((one.key or b"").split()[-1]) for one in found)


async def confirmed(publisher: Publisher, records: Sequence[Outgoing]) -> None:
    async with asyncio.timeout(WITHIN_S):
        await publisher.publish(records)


async def test_what_is_confirmed_is_written_once(harness: Harness):
    await confirmed(harness.publisher, [record(harness.topic, number) for number in range(500)])
    assert numbers(await harness.written(harness.topic)) == list(range(500))


async def test_batches_in_flight_together_are_confirmed_each_by_itself(harness: Harness):
    batches = [
        harness.publisher.publish([record(harness.topic, 10 * batch + number) for number in range(10)])
        for batch in range(20)
    ]
    async with asyncio.timeout(WITHIN_S):
        await asyncio.gather(*batches)
    assert numbers(await harness.written(harness.topic)) == list(range(200))


async def test_an_empty_batch_is_confirmed_at_once(harness: Harness):
    assert harness.publisher.publish([]).done()


async def test_a_record_arrives_as_it_was_handed_over_with_and_without_headers(harness: Harness):
    headers = (("traceparent", b"00-1"), ("other", b"\xff\x00"), ("other", b""))
    with_headers = record(harness.topic, 1, headers=headers)
    without = record(harness.topic, 2)
    no_key = Outgoing(harness.topic, 0, None, b"no key")
    await confirmed(harness.publisher, [with_headers, without, no_key])
    found = sorted(await harness.written(harness.topic), key=lambda one: one.value or b"")
    assert found == [
        Written(0, None, b"no key", ()),
        Written(1, b"key 1", b"value 1", headers),
        Written(2, b"key 2", b"value 2", ()),
    ]


async def test_records_of_a_partition_are_told_how_far_they_reach(harness: Harness):
    def some(first: int) -> list[Outgoing]:
        return [replace(record(harness.topic, first + number), partition=1) for number in range(10)]

    async with asyncio.timeout(WITHIN_S):
        places = await asyncio.gather(*(harness.publisher.place(some(10 * batch)) for batch in range(5)))
    assert places == [9, 19, 29, 39, 49]
    assert numbers(await harness.written(harness.topic)) == list(range(50))


async def test_records_that_are_refused_have_no_place_and_the_others_are_written(harness: Harness):
    with pytest.raises(PublishError) as refusal:
        async with asyncio.timeout(WITHIN_S):
            await harness.publisher.place(
                [record(harness.strict, 1), replace(harness.refused(2), partition=1)]
            )
    assert refusal.value.failed == (1,)
    assert numbers(await harness.written(harness.strict)) == [1]


@pytest.mark.parametrize("headers", [(), (("traceparent", b"00-1"),)], ids=["bulk", "one by one"])
async def test_the_partition_is_the_one_that_we_name_whatever_the_key(harness: Harness, headers):
    records = [
        Outgoing(harness.topic, number % PARTITIONS, b"the same key", b"%d" % number, headers)
        for number in range(60)
    ]
    await confirmed(harness.publisher, records)
    found = await harness.written(harness.topic)
    assert len(found) == 60
    assert all(one.partition == int(one.value or b"") % PARTITIONS for one in found)


async def test_records_of_one_partition_keep_their_order(harness: Harness):
    records = [Outgoing(harness.topic, 0, None, b"%d" % number) for number in range(300)]
    for first in range(0, 300, 50):
        harness.publisher.publish(records[first : first + 50])
    await confirmed(harness.publisher, [Outgoing(harness.topic, 0, None, b"300")])
    found = await harness.written(harness.topic)
    assert [int(one.value or b"") for one in found] == list(range(301))


@pytest.mark.parametrize("refused_at", [[0], [4], [1, 3], [0, 1, 2, 3, 4]], ids=str)
async def test_a_refusal_names_the_positions_and_the_others_are_written(harness: Harness, refused_at):
    batch = [
        harness.refused(number) if number in refused_at else record(harness.strict, number)
        for number in range(5)
    ]
    with pytest.raises(PublishError) as refusal:
        await confirmed(harness.publisher, batch)
    assert list(refusal.value.failed) == refused_at
    assert refusal.value.code == "msg_size_too_large"
    assert numbers(await harness.written(harness.strict)) == sorted({*range(5)} - {*refused_at})


@pytest.mark.parametrize("partition", [1, BY_KEY])
async def test_equal_records_that_are_refused_are_named_each(harness: Harness, partition: int):
    poison = replace(harness.refused(7), partition=partition)
    with pytest.raises(PublishError) as refusal:
        await confirmed(harness.publisher, [poison, poison])
    assert refusal.value.failed == (0, 1)


async def test_a_refused_record_whose_partition_is_left_to_its_key_is_named_too(harness: Harness):
    batch = [
        replace(harness.refused(number) if number == 3 else record(harness.strict, number), partition=BY_KEY)
        for number in range(6)
    ]
    with pytest.raises(PublishError) as refusal:
        await confirmed(harness.publisher, batch)
    assert refusal.value.failed == (3,)
    assert numbers(await harness.written(harness.strict)) == [0, 1, 2, 4, 5]


async def test_a_refused_record_with_headers_is_named_too(harness: Harness):
    poison = replace(harness.refused(1), headers=(("traceparent", b"00-1"),))
    with pytest.raises(PublishError) as refusal:
        await confirmed(harness.publisher, [record(harness.strict, 0), poison])
    assert refusal.value.failed == (1,)


async def test_room_for_a_few_records_is_there_at_once(harness: Harness):
    async with asyncio.timeout(WITHIN_S):
        await harness.publisher.room(100, 10_000)


@pytest.mark.broker
async def test_a_full_queue_is_backpressure_and_loses_nothing(kafka: str, topics_prefix: str):
    """The local queue takes 100 records; 1,000 are written through it, and one batch is larger than it is."""
    on_kafka = OnKafka(kafka, topics_prefix)
    small = on_kafka.made(**{"queue.buffering.max.messages": 100})
    under_way = []
    for first in [*range(0, 700, 50), 700]:
        batch = [
            record(on_kafka.topic, number) for number in range(first, 1_000 if first == 700 else first + 50)
        ]
        async with asyncio.timeout(WITHIN_S):
            await small.room(len(batch), size_of(batch))
        under_way.append(small.publish(batch))
    async with asyncio.timeout(WITHIN_S):
        await asyncio.gather(*under_way)
    assert numbers(await on_kafka.written(on_kafka.topic)) == list(range(1_000))
    assert await small.close(WITHIN_S) == 0


@pytest.mark.broker
async def test_a_queue_that_is_full_of_bytes_is_backpressure_and_loses_nothing(
    kafka: str, topics_prefix: str
):
    """The local queue takes 64 KiB; one batch is larger, and one record more than fits beside another."""
    on_kafka = OnKafka(kafka, topics_prefix)
    small = on_kafka.made(**{"queue.buffering.max.kbytes": 64})
    batches = [
        [record(on_kafka.topic, 10 * batch + number, value=b"x" * 2_000) for number in range(10)]
        for batch in range(20)
    ]
    batches.append([record(on_kafka.topic, number, value=b"x" * 3_000) for number in range(200, 300)])
    batches.append([record(on_kafka.topic, 300, value=b"x" * 60_000)])
    under_way = []
    for batch in batches:
        async with asyncio.timeout(WITHIN_S):
            await small.room(len(batch), size_of(batch))
        under_way.append(small.publish(batch))
    async with asyncio.timeout(WITHIN_S):
        await asyncio.gather(*under_way)
    assert numbers(await on_kafka.written(on_kafka.topic)) == list(range(301))
    assert await small.close(WITHIN_S) == 0


@pytest.mark.broker
@pytest.mark.parametrize(
    ("bounds", "records", "size_bytes"),
    [({"queue.buffering.max.messages": 100}, 100, 0), ({"queue.buffering.max.kbytes": 100}, 1, 50_000)],
    ids=["records", "bytes"],
)
async def test_room_waits_while_the_queue_is_full(
    kafka: str, topics_prefix: str, bounds: dict[str, int], records: int, size_bytes: int
):
    """A linger of a second keeps the records in the queue."""
    on_kafka = OnKafka(kafka, topics_prefix)
    slow = on_kafka.made(**bounds, **{"linger.ms": 1_000})
    under_way = slow.publish([record(on_kafka.topic, number, value=b"x" * 900) for number in range(90)])
    waiting = asyncio.ensure_future(slow.room(records, size_bytes))
    assert await asyncio.wait({waiting}, timeout=0.3) == (set(), {waiting})
    assert not under_way.done()
    async with asyncio.timeout(WITHIN_S):
        await waiting
    assert under_way.done()
    await slow.close(WITHIN_S)


@pytest.mark.broker
async def test_what_is_not_confirmed_at_a_close_is_counted_and_stays_open(topics_prefix: str):
    """Nobody listens on this port: the future must not say that the record is safe."""
    nowhere = "127.0.0.1:1"
    publisher = KafkaPublisher(producer_options(KafkaSettings(), nowhere), on_fatal=print)
    under_way = publisher.publish([record(f"{topics_prefix}topic", number) for number in range(3)])
    assert await publisher.close(0.2) == 3
    assert not under_way.done()
