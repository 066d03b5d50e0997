"""Records arrive in the partitions that we name, or leave to their keys: co-partitioning rests on it."""

from __future__ import annotations

import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from streams.core.partitioning import partition_of
from streams.ports import BY_KEY, Outgoing
from streams.publishing import KafkaPublisher

PARTITIONS = 5
RECORDS = 200


def named(key: bytes) -> int:
    return partition_of(key, PARTITIONS)


def left_to_the_key(_key: bytes) -> int:
    return BY_KEY


@pytest.mark.parametrize("place", [named, left_to_the_key])
async def test_every_record_is_where_java_would_have_put_it(kafka, topics_prefix, place):
    topic = f"{topics_prefix}named"
    admin = AdminClient({"bootstrap.servers": kafka})
    admin.create_topics([NewTopic(topic, PARTITIONS, 1)])[topic].result(30)
    publisher = KafkaPublisher({"bootstrap.servers": kafka}, on_fatal=lambda reason: None)
    keys = [f"default/post-{number}".encode() for number in range(RECORDS)]

    await publisher.publish(
        [
            Outgoing(topic, place(key), key, b"v", (("h", b"x"),) if at % 7 == 0 else ())
            for at, key in enumerate(keys)
        ]
    )
    left = await publisher.close(10)

    found = _records(kafka, topic)
    assert left == 0
    assert found.keys() == set(keys)
    assert {key: partition for key, partition in found.items() if partition != partition_of(key, 5)} == {}
    assert set(found.values()) == set(range(PARTITIONS))


def _records(kafka: str, topic: str) -> dict[bytes, int]:
    """The partition of each key."""
    consumer = Consumer({"bootstrap.servers": kafka, "group.id": topic, "enable.auto.commit": False})
    consumer.assign([TopicPartition(topic, number, 0) for number in range(PARTITIONS)])
    found: dict[bytes, int] = {}
    while len(found) < RECORDS:
        message = consumer.poll(20)
        assert message is not None, f"only {len(found)} of {RECORDS} records arrived"
        assert message.error() is None
        found[message.key()] = message.partition()
    consumer.close()
    return found
