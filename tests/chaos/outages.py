"""Ways in which a Kafka fails that are none of a worker's doing."""

from __future__ import annotations

from collections.abc import Iterator
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
    _alter(bootstrap, "1")
    try:
        yield
    finally:
        _alter(bootstrap, "1048588")


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


def _alter(bootstrap: str, record_bytes_max: str) -> None:
    entry = ConfigEntry("max.message.bytes", record_bytes_max, incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource("topic", _OFFSETS, incremental_configs=[entry])
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    admin.incremental_alter_configs([resource])[resource].result(30)
