"""Publishing while the broker is away and comes back: nothing is confirmed too early, nothing is lost."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import confluent_kafka as ck
import pytest
from brokerless import Brokerless
from confluent_kafka.admin import AdminClient, NewTopic
from deadline import eventually

from infra.embedded import EmbeddedKafka
from infra.kafka import producer_options
from schemas.settings import EmbeddedSettings, KafkaSettings
from streams.ports import Outgoing
from streams.publishing import KafkaPublisher

TOPIC = "written"
BATCH = 50
AWAY_S = 5.0
# A second is the pause between two tries, the rest is a busy machine's.
BACK_WITHIN_S = 4.0


@pytest.fixture
def own_broker(tmp_path: Path) -> Iterator[EmbeddedKafka]:
    """Give a broker that the test may kill."""
    with EmbeddedKafka(tmp_path / "kafka", EmbeddedSettings()) as broker:
        admin = AdminClient({"bootstrap.servers": broker.bootstrap})
        admin.create_topics([NewTopic(TOPIC, 1, 1)])[TOPIC].result(30)
        yield broker


async def test_a_broker_that_is_killed_and_comes_back_has_every_record_once(own_broker: EmbeddedKafka):
    """The delivery timeout is shorter than the broker is away, so that librdkafka gives up and we do not."""
    bootstrap = own_broker.bootstrap
    settings = KafkaSettings(bootstrap=bootstrap)
    options = producer_options(settings, bootstrap) | {
        "delivery.timeout.ms": 1_500,
        "request.timeout.ms": 1_000,
    }
    fatal: list[str] = []
    publisher = KafkaPublisher(options, on_fatal=fatal.append)
    await asyncio.wait_for(publisher.publish(batch(0)), 30)

    await asyncio.to_thread(own_broker.kill)
    away = [publisher.publish(batch(number)) for number in range(1, 5)]
    await eventually(
        lambda: ", 0 to repeat" not in repr(publisher), within_s=20, what="librdkafka gives records up"
    )
    assert not any(one.done() for one in away), "a record is not confirmed before a broker has it"

    await asyncio.to_thread(own_broker.start)
    async with asyncio.timeout(60):
        await asyncio.gather(*away)
    assert await publisher.close(10) == 0
    assert not fatal
    # A batch that timed out may have been written before its answer was lost; nothing else may come twice.
    found = await asyncio.to_thread(read, bootstrap)
    assert set(found) == set(range(5 * BATCH))
    assert all(found[number] == 1 for number in range(BATCH))


async def test_a_broker_that_comes_back_is_soon_written_to(own_broker: EmbeddedKafka):
    """Left alone, librdkafka may pause for ten seconds between two tries."""
    bootstrap = own_broker.bootstrap
    publisher = KafkaPublisher(
        producer_options(KafkaSettings(bootstrap=bootstrap), bootstrap), on_fatal=lambda _: None
    )
    await asyncio.wait_for(publisher.publish(batch(0)), 30)
    await asyncio.to_thread(own_broker.kill)
    away = publisher.publish(batch(1))
    assert await asyncio.wait({away}, timeout=AWAY_S) == (set(), {away})

    await asyncio.to_thread(own_broker.start)
    await asyncio.wait_for(away, BACK_WITHIN_S)
    assert await publisher.close(10) == 0


async def test_what_is_refused_and_tried_again_is_told_once_and_once_when_it_passes(
    kafka: str, topics_prefix: str, caplog: pytest.LogCaptureFixture
):
    topic = f"{topics_prefix}{TOPIC}"
    options = producer_options(KafkaSettings(bootstrap=kafka), kafka)
    troubles: list[str] = []
    publisher = KafkaPublisher(
        # By itself it hopes for half a minute that a topic which nobody knows will be known.
        options | {"topic.metadata.propagation.max.ms": 500},
        on_fatal=troubles.append,
        on_trouble=troubles.append,
    )
    confirmed = [publisher.publish(batch(number, topic)) for number in range(3)]
    await eventually(lambda: len(troubles) == 2, within_s=30, what="it is told")
    # All of them are refused ten times in a second.
    assert await asyncio.wait(confirmed, timeout=2) == (set(), {*confirmed})
    admin = AdminClient({"bootstrap.servers": kafka})
    await asyncio.to_thread(admin.create_topics([NewTopic(topic, 1, 1)])[topic].result, 30)
    await asyncio.wait_for(asyncio.gather(*confirmed), 60)
    refused = [
        f"Kafka does not take what goes to {topic} ({error}); it is tried again and again"
        for error in ("UNKNOWN_TOPIC_OR_PART", "_UNKNOWN_TOPIC")
    ]
    assert troubles == refused
    ours = [record.getMessage() for record in caplog.records if record.name == "streams.publishing"]
    assert ours == [*refused, f"Kafka takes what goes to {topic} again"]
    assert await publisher.close(10) == 0


async def test_what_nobody_confirms_for_long_is_told_once_and_once_when_it_is(
    own_broker: EmbeddedKafka, caplog: pytest.LogCaptureFixture
):
    """A broker that hangs, or a topic that is gone: librdkafka tries for two minutes without a word."""
    bootstrap = own_broker.bootstrap
    troubles: list[str] = []
    publisher = KafkaPublisher(
        producer_options(KafkaSettings(bootstrap=bootstrap), bootstrap),
        on_fatal=troubles.append,
        on_trouble=troubles.append,
    )
    await asyncio.wait_for(publisher.publish(batch(0)), 30)
    own_broker.brokers[0].pause()
    try:
        away = [publisher.publish(batch(number)) for number in range(1, 4)]
        await eventually(lambda: troubles, within_s=30, what="it is told")
    finally:
        own_broker.brokers[0].resume()
    await asyncio.wait_for(asyncio.gather(*away), 60)
    # It is told at the next look.
    await asyncio.wait_for(publisher.publish(batch(4)), 30)
    (sentence,) = troubles
    assert sentence.startswith(f"{TOPIC}: what was written was not confirmed for 10 s; see that ")
    ours = [record.getMessage() for record in caplog.records if record.name == "streams.publishing"]
    assert ours == [sentence, f"{TOPIC}: confirmed again"]
    assert await publisher.close(10) == 0


async def test_a_kafka_that_has_no_brokers_for_a_moment_is_written_to_again(
    kafka: str, topics_prefix: str, caplog: pytest.LogCaptureFixture
):
    """By itself librdkafka forgets even those that it was given.

    Whether it then never asks anybody again is a matter of luck with the default of
    `metadata.recovery.strategy`; with `none` it never does.
    """
    topic = f"{topics_prefix}{TOPIC}"
    admin = AdminClient({"bootstrap.servers": kafka})
    await asyncio.to_thread(admin.create_topics([NewTopic(topic, 1, 1)])[topic].result, 30)
    async with Brokerless(int(kafka.rpartition(":")[2])) as between:
        bootstrap = f"127.0.0.1:{between.port}"
        options = producer_options(KafkaSettings(bootstrap=bootstrap), bootstrap)
        options |= {"metadata.recovery.strategy": "none", "topic.metadata.refresh.interval.ms": 100}
        publisher = KafkaPublisher(options, on_fatal=pytest.fail)
        await asyncio.wait_for(publisher.publish(batch(0, topic)), 30)

        between.deny()
        await eventually(
            lambda: between.denied and not between.connections, within_s=10, what="no brokers, it believes"
        )
        await asyncio.wait_for(publisher.publish(batch(1, topic)), 30)
        assert await publisher.close(10) == 0
    assert "knew no broker any more" in caplog.text, "else nothing was shown"
    assert await asyncio.to_thread(read, kafka, topic) == Counter(range(2 * BATCH))


def batch(number: int, topic: str = TOPIC) -> list[Outgoing]:
    first = number * BATCH
    return [Outgoing(topic, 0, None, b"%d" % value) for value in range(first, first + BATCH)]


def read(bootstrap: str, topic: str = TOPIC) -> Counter[int]:
    consumer = ck.Consumer(
        {"bootstrap.servers": bootstrap, "group.id": "unused", "enable.auto.commit": False}
    )
    tp = ck.TopicPartition(topic, 0, 0)
    left = consumer.get_watermark_offsets(tp, timeout=30)[1]
    consumer.assign([tp])
    found: Counter[int] = Counter()
    while found.total() < left:
        messages = consumer.consume(left, 30)
        assert messages
        found.update(int(message.value() or b"") for message in messages)
    consumer.close()
    return found
