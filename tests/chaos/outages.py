"""Ways in which a Kafka fails that are none of a worker's doing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource
from deadline import until

from infra.embedded import EmbeddedKafka

OFFSETS = "__consumer_offsets"
_STOP_WITHIN_S = 30.0


@contextmanager
def refusing_writes(bootstrap: str, *topics: str) -> Iterator[None]:
    """Topics that ask for more replicas than there are: each write to them fails, and may be tried again.

    Of the offsets' topic, that is every commit.
    """
    _alter(bootstrap, topics, "2")
    try:
        yield
    finally:
        _alter(bootstrap, topics, "1")


def restart(kafka: EmbeddedKafka, number: int) -> None:
    """Stop a broker as an upgrade would, and start it again."""
    broker = kafka.brokers[number]
    broker.terminate()
    until(lambda: not broker.is_running, within_s=_STOP_WITHIN_S, what=f"{broker!r} stops")
    broker.start()


def leader_of(bootstrap: str, topic: str) -> int:
    """The index of the broker that leads the topic's first partition; -1 while none does."""
    partitions = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0}).list_topics(topic, timeout=10)
    return max(-1, partitions.topics[topic].partitions[0].leader - 1)


def _alter(bootstrap: str, topics: tuple[str, ...], in_sync_min: str) -> None:
    entry = ConfigEntry("min.insync.replicas", in_sync_min, incremental_operation=AlterConfigOpType.SET)
    resources = [ConfigResource("topic", topic, incremental_configs=[entry]) for topic in topics]
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    for altered in admin.incremental_alter_configs(resources).values():
        altered.result(30)
