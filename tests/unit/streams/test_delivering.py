"""What a fetch brought, on its way to the agents: its generation, and what is kept of a paused topic."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from faust.types import TP
from stages import TOPICS, book, records

from streams.app import stage_app
from streams.clock import ManualClock
from streams.fetching import TransportOptions
from streams.partitions import Reading, TopicPartition
from streams.transport import BatchConsumer

LOW, HIGH = TP(TOPICS.content("low"), 0), TP(TOPICS.content("high"), 0)


class Silent:
    """A rescuer, as other clients would see it: it finds what the test says, or nobody answers."""

    def __init__(self) -> None:
        self.found: list[Any] = []

    def read(self, _topic: str, _partition: int, _offset: int | None, _count: int) -> list[Any]:
        return self.found


class FakeThread:
    """Asks brokers that hold all offsets from 0 on."""

    def __init__(self) -> None:
        self.unreadable: set[TopicPartition] = set()
        self.looked: list[int] = []
        self.reading = Reading(4, 9)

    async def earliest_offsets(self, tp: Any) -> dict[Any, int]:
        return {tp: 0}

    async def call_thread(self, work: Any, *args: Any) -> None:
        await work(*args)

    async def look_again(self, _tp: Any, offset: int) -> None:
        self.looked.append(offset)

    def reading_of(self, _tp: TopicPartition) -> Reading:
        return self.reading


class Group:
    """A consumer that is connected to nobody, in its first generation."""

    def __init__(self, directory: Path) -> None:
        self.partitions = book(ManualClock())
        self.rescuer = Silent()
        options = TransportOptions(
            partitions=self.partitions,
            consumer_options={},
            rescuer=self.rescuer,
            batch_records_max=500,
            drain_timeout_ms=1_000,
        )
        self.app = stage_app(
            group="group", options=options, datadir=directory, instance=None, commit_interval_ms=500
        )
        self.handed: list[Any] = []
        self.consumer = BatchConsumer(
            self.app.transport,
            callback=self._hand,
            on_partitions_revoked=self._nothing,
            on_partitions_assigned=self._nothing,
        )
        self.real_thread = self.consumer._thread  # noqa: SLF001
        self.continuity = self.consumer._continuity  # noqa: SLF001
        self.thread = self.consumer._thread = self.continuity.thread = FakeThread()  # noqa: SLF001
        self.during_next: Any = None
        self.assign(1)

    def assign(self, generation: int) -> None:
        self.app.consumer_generation_id = generation
        self.partitions.open([LOW, HIGH])

    async def _hand(self, message: Any) -> None:
        self.handed.append(message.value)
        if self.during_next:
            self.during_next()

    async def _nothing(self, *_: Any) -> None:
        """Faust's app would answer here."""

    async def deliver(self, **found: list[Any]) -> None:
        tps = {"low": LOW, "high": HIGH}
        await self.consumer._deliver({tps[name]: batch for name, batch in found.items()})  # noqa: SLF001

    def released(self) -> dict[TP, list[Any]]:
        return self.consumer._released()  # noqa: SLF001

    async def rebalance(self, generation: int) -> None:
        await self.consumer.wait_empty()
        self.app.consumer_generation_id = generation
        await self.consumer.on_partitions_assigned({LOW, HIGH}, generation)


def of(tp: TP, count: int, *, first: int = 0) -> list[Any]:
    return records(tp.topic, [b"x"] * count, first=first)


@pytest.fixture
async def group(tmp_path: Path) -> AsyncIterator[Group]:
    made = Group(tmp_path)
    yield made
    # Its thread was never started, but has its loop.
    made.real_thread.thread_loop.close()


async def test_what_came_of_a_topic_while_it_was_being_paused_is_delivered_when_it_is_resumed(group: Group):
    group.partitions.pause(frozenset({LOW.topic}))
    await group.deliver(low=of(LOW, 2), high=of(HIGH, 1))
    await group.deliver(low=of(LOW, 1, first=2))
    assert ([batch.topic for batch in group.handed], group.released()) == ([HIGH.topic], {})
    group.partitions.pause(frozenset())
    assert group.released() == {LOW: of(LOW, 3)}
    assert group.released() == {}


async def test_what_was_kept_is_forgotten_when_the_partition_is_given_away(group: Group):
    group.partitions.pause(frozenset({LOW.topic}))
    await group.deliver(low=of(LOW, 2))
    await group.consumer.wait_empty()
    group.partitions.pause(frozenset())
    assert group.released() == {}


@pytest.mark.parametrize("is_paused", [True, False])
async def test_what_a_former_generation_fetched_is_neither_kept_nor_delivered(group: Group, is_paused: bool):
    """The group is cut anew while the first of two partitions is handed over."""
    group.partitions.pause(frozenset({LOW.topic} if is_paused else ()))
    group.during_next = lambda: group.assign(2)
    await group.deliver(high=of(HIGH, 1), low=of(LOW, 2, first=40))
    group.partitions.pause(frozenset())
    assert ([batch.topic for batch in group.handed], group.released()) == ([HIGH.topic], {})
    assert group.partitions.owned[TopicPartition(*LOW)].watermark.next_offset is None


async def test_nothing_is_kept_once_the_flow_is_stopped(group: Group):
    group.partitions.pause(frozenset({LOW.topic}))
    group.during_next = group.consumer.stop_flow
    await group.deliver(high=of(HIGH, 1), low=of(LOW, 2))
    group.partitions.pause(frozenset())
    assert group.released() == {}


async def test_a_commit_of_the_very_first_offset_is_a_position(group: Group, monkeypatch: pytest.MonkeyPatch):
    """Faust takes 0 for "none"; then records that are deleted before they were judged would not be missed."""

    async def committed(_: Any) -> dict[TP, int | None]:
        return {LOW: 0, HIGH: None}

    monkeypatch.setattr(BatchConsumer.__mro__[1], "seek_to_committed", committed)
    await group.consumer.perform_seek()
    expected = {tp.topic: owned.expected for tp, owned in group.partitions.owned.items()}
    assert expected == {LOW.topic: 0, HIGH.topic: None}


# -- what is tried again and again -------------------------------------------------------------------------


async def test_a_hole_that_nobody_confirms_is_told_once(group: Group, caplog: pytest.LogCaptureFixture):
    await group.deliver(low=of(LOW, 1))
    for _ in range(4):
        await group.deliver(low=of(LOW, 1, first=5))
    assert (len(group.handed), group.thread.looked) == (1, [1] * 4)
    assert complaints(caplog) == [
        "content.low/0 at 1: records were skipped, and no other client confirms the hole; looking again"
    ]
    group.rescuer.found = of(LOW, 1, first=5)
    await group.deliver(low=of(LOW, 1, first=5))
    group.rescuer.found = []
    for _ in range(3):
        await group.deliver(low=of(LOW, 1, first=8))
    assert len(group.handed) == 2
    assert [sentence.split(":")[0] for sentence in complaints(caplog)] == [
        "content.low/0 at 1",
        "content.low/0 at 6",
    ]


async def test_a_hole_that_another_look_fills_is_not_told(group: Group, caplog: pytest.LogCaptureFixture):
    await group.deliver(low=of(LOW, 1))
    await group.deliver(low=of(LOW, 1, first=5))
    await group.deliver(low=of(LOW, 5, first=1))
    assert (len(group.handed), complaints(caplog)) == (2, [])


async def test_a_rescue_without_an_answer_is_told_once(group: Group, caplog: pytest.LogCaptureFixture):
    await group.deliver(low=of(LOW, 2))
    for _ in range(3):
        group.thread.unreadable = {TopicPartition(*LOW), TopicPartition(*HIGH)}
        assert await group.continuity.rescued() == {}
    assert sorted(complaints(caplog)) == [
        f"{topic} at {where}: aiokafka cannot read it, and another client got no answer; trying again"
        for topic, where in (("content.high/0", "its beginning"), ("content.low/0", 2))
    ]
    group.rescuer.found = of(LOW, 1, first=2)
    group.thread.unreadable = {TopicPartition(*LOW)}
    assert await group.continuity.rescued() == {LOW: of(LOW, 1, first=2)}
    assert len(complaints(caplog)) == 2


async def test_what_is_kept_of_a_paused_topic_counts_as_unread(group: Group):
    group.thread.reading = Reading(9, 9)
    assert group.partitions.reading_of(TopicPartition(*LOW)) == Reading(9, 9)
    group.partitions.pause(frozenset({LOW.topic}))
    await group.deliver(low=of(LOW, 2, first=7))
    assert group.partitions.reading_of(TopicPartition(*LOW)) == Reading(7, 9)


def complaints(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was logged as a warning, without the name that mode puts before it."""
    return [
        record.getMessage().split("]: ")[-1] for record in caplog.records if record.levelname == "WARNING"
    ]
