"""Ways in which a Kafka fails that are none of a worker's doing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource
from deadline import until

from infra.embedded import EmbeddedKafka

_OFFSETS = "__consumer_offsets"
_STOP_WITHIN_S = 30.0


@contextmanager
def refusing_commits(bootstrap: str) -> Iterator[None]:
    """No record fits into the offsets' topic: each commit is refused.

    To ask for more replicas than there are would not do: a Kafka of today takes it for all that there are.
    """
    _alter(bootstrap, _OFFSETS, "max.message.bytes", "1")
    try:
        yield
    finally:
        _alter(bootstrap, _OFFSETS, "max.message.bytes", "1048588")


@contextmanager
def refusing_writes(cluster: EmbeddedKafka, topics: Sequence[str], stopped: int) -> Iterator[None]:
    """Topics insist on all replicas, and one broker is stopped: what is written there is refused.

    All else goes on: what is read, and what is committed.
    """
    for topic in topics:
        _alter(cluster.bootstrap, topic, "min.insync.replicas", str(len(cluster.brokers)))
    broker = cluster.brokers[stopped]
    broker.terminate()
    until(lambda: not broker.is_running, within_s=_STOP_WITHIN_S, what=f"{broker!r} stops")
    try:
        yield
    finally:
        broker.start()


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


def _alter(bootstrap: str, topic: str, name: str, value: str) -> None:
    entry = ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource("topic", topic, incremental_configs=[entry])
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    admin.incremental_alter_configs([resource])[resource].result(30)
