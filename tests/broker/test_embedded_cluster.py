"""The embedded Kafka as a cluster of three: it goes on without one broker, and the lost one comes back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from deadline import until

from infra.embedded import EmbeddedKafka
from infra.errors import Failure
from schemas.settings import EmbeddedSettings

MEMORY_KB_MAX = 2 << 20


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedKafka]:
    with EmbeddedKafka(tmp_path_factory.mktemp("three") / "kafka", EmbeddedSettings(brokers=3)) as kafka:
        yield kafka


def leader_of(cluster: EmbeddedKafka, topic: str, but: int = -1) -> int | None:
    """Which broker leads the topic's only partition; None while none does but the one that is gone."""
    admin = AdminClient({"bootstrap.servers": cluster.bootstrap})
    leader = admin.list_topics(topic, timeout=10).topics[topic].partitions[0].leader
    return leader if leader not in {-1, but} else None


def write(cluster: EmbeddedKafka, topic: str, value: bytes) -> None:
    failed = []
    producer = Producer({"bootstrap.servers": cluster.bootstrap, "acks": "all", "linger.ms": 0})
    producer.produce(topic, value, on_delivery=lambda error, _: error and failed.append(error))
    assert producer.flush(60) == 0
    assert failed == []


def test_a_killed_leader_is_replaced_loses_nothing_and_comes_back(
    cluster: EmbeddedKafka, topics_prefix: str
) -> None:
    topic = topics_prefix + "led"
    admin = AdminClient({"bootstrap.servers": cluster.bootstrap})
    admin.create_topics([NewTopic(topic, 1, 3)])[topic].result(20)
    write(cluster, topic, b"before")
    leader = until(lambda: leader_of(cluster, topic), within_s=10)
    killed = cluster.brokers[leader - 1]
    killed.kill()
    assert cluster.status().state == "partly running"
    assert len([one for one in cluster.brokers if one.is_running]) == 2
    with pytest.raises(Failure):
        cluster.check()

    write(cluster, topic, b"without it")
    assert until(lambda: leader_of(cluster, topic, but=leader), within_s=30) != leader
    killed.start()
    assert cluster.status().state == "running"
    in_sync = until(
        lambda: len(admin.list_topics(topic, timeout=10).topics[topic].partitions[0].isrs) == 3, within_s=30
    )
    assert in_sync
    consumer = Consumer({"bootstrap.servers": cluster.bootstrap, "group.id": "reader"})
    consumer.assign([TopicPartition(topic, 0, 0)])
    assert [message.value() for message in consumer.consume(2, 30)] == [b"before", b"without it"]
    consumer.close()


def test_a_broker_that_hangs_and_wakes_is_a_member_again(cluster: EmbeddedKafka, topics_prefix: str) -> None:
    topic = topics_prefix + "paused"
    admin = AdminClient({"bootstrap.servers": cluster.bootstrap})
    admin.create_topics([NewTopic(topic, 1, 3)])[topic].result(20)
    leader = until(lambda: leader_of(cluster, topic), within_s=10)
    paused = cluster.brokers[leader - 1]
    paused.pause()
    try:
        write(cluster, topic, b"while it hangs")
        assert paused.is_running
    finally:
        paused.resume()
    assert cluster.start() == cluster.bootstrap
    assert cluster.status().state == "running"


@pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="only Linux tells a process's memory there"
)
def test_three_brokers_fit_in_two_gigabytes(cluster: EmbeddedKafka) -> None:
    used_kb = [
        int(line.split()[1])
        for pid in cluster.status().pids
        for line in Path(f"/proc/{pid}/status").read_text().splitlines()
        if line.startswith("VmHWM:")
    ]
    assert len(used_kb) == 3
    # What they have used, and what they may still use: heap and all.
    assert sum(used_kb) < MEMORY_KB_MAX


def test_a_cluster_s_size_is_fixed(cluster: EmbeddedKafka) -> None:
    cluster.stop()
    directory = Path(cluster.status().directory)
    with pytest.raises(Failure, match=r"is that of 3 broker\(s\).*embedded\.brokers = 3"):
        EmbeddedKafka(directory, EmbeddedSettings(brokers=1)).start()
    assert cluster.status().state == "stopped"
