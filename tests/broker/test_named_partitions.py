"""Records arrive in the partitions that we name, or leave to their keys: co-partitioning rests on it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import count

import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from streams.core.partitioning import partition_of
from streams.ports import BY_KEY, Outgoing
from streams.publishing import KafkaPublisher

PARTITIONS = 5
RECORDS = 200
WITHIN_S = 20.0
# Tell the records of one run from those before it, which are read along.
MARKS = count()

Written = dict[bytes | None, int]
"""The partition of each key."""

# Keys of every length about a word of the hash, in letters of several bytes too, an empty one, and none.
keys = st.none() | st.binary(max_size=9) | st.binary(max_size=200) | st.text(min_size=1).map(str.encode)


@pytest.fixture
def topic(kafka: str, topics_prefix: str) -> str:
    name = f"{topics_prefix}named"
    admin = AdminClient({"bootstrap.servers": kafka})
    admin.create_topics([NewTopic(name, PARTITIONS, 1)])[name].result(30)
    return name


def named(key: bytes) -> int:
    return partition_of(key, PARTITIONS)


def left_to_the_key(_key: bytes) -> int:
    return BY_KEY


@pytest.mark.parametrize("place", [named, left_to_the_key])
def test_every_record_is_where_java_would_have_put_it(kafka, topic, place):
    numbered = [f"default/post-{number}".encode() for number in range(RECORDS)]

    found = written(
        kafka,
        [
            Outgoing(topic, place(key), key, b"v", (("h", b"x"),) if at % 7 == 0 else ())
            for at, key in enumerate(numbered)
        ],
    )

    assert found.keys() == set(numbered)
    assert found == {key: partition_of(key, PARTITIONS) for key in numbered}
    assert set(found.values()) == set(range(PARTITIONS))


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(drawn=st.lists(keys, min_size=1, max_size=100, unique=True), has_headers=st.booleans())
def test_whatever_its_key_is_a_record_that_is_left_to_it_lies_where_our_own_hash_says(
    kafka, topic, drawn, has_headers
):
    """Without a key it may lie anywhere; it must only be there."""
    headers = (("h", b"x"),) if has_headers else ()

    found = written(kafka, [Outgoing(topic, BY_KEY, key, b"v", headers) for key in drawn])

    assert found.keys() == set(drawn)
    for key, partition in found.items():
        assert key is None or partition == partition_of(key, PARTITIONS)


def written(kafka: str, records: Sequence[Outgoing]) -> Written:
    """Write the records through a publisher, and read where they are."""
    mark = b"%d" % next(MARKS)
    asyncio.run(_publish(kafka, [replace(record, value=mark) for record in records]))
    consumer = Consumer({"bootstrap.servers": kafka, "group.id": "unused", "enable.auto.commit": False})
    consumer.assign([TopicPartition(records[0].topic, number, 0) for number in range(PARTITIONS)])
    found: Written = {}
    while len(found) < len(records):
        message = consumer.poll(WITHIN_S)
        assert message is not None, f"only {len(found)} of {len(records)} records arrived"
        assert message.error() is None
        if message.value() == mark:
            found[message.key()] = message.partition()
    consumer.close()
    return found


async def _publish(kafka: str, records: Sequence[Outgoing]) -> None:
    publisher = KafkaPublisher({"bootstrap.servers": kafka}, on_fatal=lambda reason: None)
    async with asyncio.timeout(WITHIN_S):
        await publisher.publish(records)
    assert await publisher.close(WITHIN_S) == 0
