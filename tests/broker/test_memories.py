"""Memories over a real changelog: a partition that moves, a directory that is gone, a topic made anew."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import pytest
from brokerless import Brokerless
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from deadline import eventually
from memos import DAY_MS, digest, memo
from msgspec.structs import replace

from infra.clients import reach
from infra.kafka import librdkafka_options, producer_options
from infra.memories import memories_of
from infra.topics import ensure
from schemas.settings import KafkaSettings, Settings, TopicSettings
from streams.clock import SystemClock
from streams.ports import Change
from streams.publishing import KafkaPublisher
from streams.remembering import Memories
from streams.restoring import Changelog, Progress
from streams.topics import Topics

WITHIN_S = 30.0
CLOCK = SystemClock()


class Worker:
    """What a worker has that remembers."""

    def __init__(self, settings: Settings, name: str) -> None:
        self.settings = settings
        bootstrap = settings.kafka.bootstrap
        self.publisher = KafkaPublisher(producer_options(settings.kafka, bootstrap), on_fatal=print)
        self.memories: Memories = memories_of(
            settings,
            worker=name,
            bootstrap=bootstrap,
            publisher=self.publisher,
            clock=CLOCK,
            on_usable=lambda: None,
        )

    async def own(self, *partitions: int) -> None:
        self.memories.own(partitions)
        await eventually(lambda: all(map(self.memories.is_usable, partitions)), within_s=WITHIN_S)

    async def remember(self, partition: int, *names: object) -> None:
        confirmed = []
        for name in names:
            done = asyncio.Event()
            self.memories.remember(partition, fresh(name), done.set)
            confirmed.append(done.wait())
        async with asyncio.timeout(WITHIN_S):
            await asyncio.gather(*confirmed)

    def found(self, partition: int, *names: object) -> list[bool]:
        return [self.memories.look_up(partition, [digest(name)]) is not None for name in names]

    async def stop(self) -> None:
        await self.memories.stop()
        assert await self.publisher.close(WITHIN_S) == 0


def fresh(name: object):
    now_ms = CLOCK.wall_ms()
    return replace(memo(name), judged_at_ms=now_ms, expires_at_ms=now_ms + DAY_MS)


@pytest.fixture
def settings(kafka: str, topics_prefix: str, tmp_path: Path) -> Settings:
    made = Settings(
        data_dir=str(tmp_path),
        kafka=KafkaSettings(bootstrap=kafka),
        topics=TopicSettings(prefix=topics_prefix, partitions=2),
    )
    ensure(made, reach(made))
    return made


@pytest.fixture
async def start(settings: Settings) -> AsyncIterator[Callable[[str], Worker]]:
    started: list[Worker] = []

    async def one(name: str) -> Worker:
        worker = Worker(settings, name)
        await worker.memories.start()
        started.append(worker)
        return worker

    yield one
    for worker in started:
        await worker.stop()


async def test_a_partition_that_moves_finds_its_memory_and_only_its_own(start):
    first = await start("a")
    await first.own(0, 1)
    await first.remember(0, *range(300))
    await first.remember(1, "other")
    second = await start("b")
    first.memories.own([1])
    await second.own(0)
    assert all(second.found(0, *range(300)))
    assert second.found(0, "other") == [False]
    assert second.memories.status().restored == 300


async def test_a_restart_reads_only_what_it_does_not_know_and_a_deleted_directory_everything(start, settings):
    first = await start("a")
    await first.own(0)
    await first.remember(0, *range(100))
    await first.memories.stop()

    again = await start("a")
    await again.own(0)
    assert again.memories.status().restored == 0
    assert all(again.found(0, *range(100)))
    await again.memories.stop()

    shutil.rmtree(Path(settings.data_dir) / "memory")
    anew = await start("a")
    await anew.own(0)
    assert anew.memories.status().restored == 100
    assert all(anew.found(0, *range(100)))


async def test_what_another_owner_remembered_meanwhile_is_caught_up_with(start):
    first, second = await start("a"), await start("b")
    await first.own(0)
    await first.remember(0, "before")
    first.memories.own(())
    await second.own(0)
    await second.remember(0, *range(50))
    second.memories.own(())
    await first.own(0)
    assert all(first.found(0, "before", *range(50)))
    assert first.memories.status().restored == 50


async def test_a_tombstone_in_the_changelog_forgets(start, settings):
    first, second = await start("a"), await start("b")
    await first.own(0)
    await first.remember(0, "a", "b")
    tool = Producer({"bootstrap.servers": settings.kafka.bootstrap})
    tool.produce(Topics.of(settings.topics).memory, key=digest("a").encode(), value=None, partition=0)
    assert await asyncio.to_thread(tool.flush, WITHIN_S) == 0
    await second.own(0)
    assert second.found(0, "a", "b") == [False, True]


async def test_a_topic_made_anew_begins_the_memory_anew(start, settings):
    first = await start("a")
    await first.own(0)
    await first.remember(0, *range(20))
    await first.memories.stop()
    await make_anew(settings)
    again = await start("a")
    await again.own(0)
    assert not any(again.found(0, *range(20)))
    await again.remember(0, "new")
    assert again.found(0, "new") == [True]


async def make_anew(settings: Settings) -> None:
    """The topic of the memories: deleted, and made under the same name."""
    admin = AdminClient({"bootstrap.servers": settings.kafka.bootstrap})
    name = Topics.of(settings.topics).memory
    admin.delete_topics([name])[name].result(WITHIN_S)
    await eventually(
        lambda: asyncio.to_thread(lambda: name not in reach(settings).partitions), within_s=WITHIN_S
    )
    ensure(settings, reach(settings))


async def test_a_topic_made_anew_that_has_grown_past_the_stores_offset_is_another_all_the_same(
    start, settings
):
    first = await start("a")
    await first.own(0)
    await first.remember(0, *range(20))
    await first.memories.stop()
    await make_anew(settings)
    second = await start("b")
    await second.own(0)
    await second.remember(0, *range(100, 150))

    again = await start("a")
    await again.own(0)
    assert again.memories.status().restored == 50
    assert all(again.found(0, *range(100, 150)))
    assert not any(again.found(0, *range(20)))
    await again.memories.stop()

    once_more = await start("a")
    await once_more.own(0)
    assert once_more.memories.status().restored == 0, "it is known now"


async def test_a_store_of_another_prefix_is_begun_anew(start, settings):
    first = await start("a")
    await first.own(0)
    await first.remember(0, *range(20))
    await first.memories.stop()
    theirs = replace(settings, topics=replace(settings.topics, prefix=f"{settings.topics.prefix}x"))
    ensure(theirs, reach(theirs))
    await remembered_by(Worker(theirs, "b"), *range(100, 150))
    ours = Worker(theirs, "a")
    await ours.memories.start()
    await ours.own(0)
    assert all(ours.found(0, *range(100, 150)))
    assert not any(ours.found(0, *range(20)))
    await ours.stop()


async def remembered_by(worker: Worker, *names: object) -> None:
    await worker.memories.start()
    await worker.own(0)
    await worker.remember(0, *names)
    await worker.stop()


class Collected:
    """What is to be restored."""

    def __init__(self) -> None:
        self.changes: list[Change] = []

    @property
    def next_offset(self) -> int | None:
        return self.changes[-1].offset + 1 if self.changes else None

    @property
    def source(self) -> str | None:
        return None

    def belong_to(self, source: str) -> None:
        self.belongs_to = source

    def restore(self, changes: Sequence[Change]) -> None:
        self.changes.extend(changes)

    def clear(self) -> None:
        pytest.fail("nothing is gone")


async def test_who_was_told_of_no_brokers_restores_all_the_same(settings: Settings, start, caplog):
    """A consumer of librdkafka that believes it may never ask anybody again."""
    worker = await start("a")
    await worker.own(0)
    await worker.remember(0, *range(300))
    restored = Collected()
    async with Brokerless(int(settings.kafka.bootstrap.rpartition(":")[2])) as between:
        between.deny()
        options = librdkafka_options(settings.kafka, f"127.0.0.1:{between.port}")
        changelog = Changelog(
            Topics.of(settings.topics).memory, options | {"metadata.recovery.strategy": "none"}
        )
        async with asyncio.timeout(WITHIN_S):
            assert await asyncio.to_thread(changelog.restore, 0, restored, Progress(), lambda: True)
        assert between.denied
    assert len(restored.changes) == 300
    assert "trying on to restore it" in caplog.text, "else nothing was shown"
