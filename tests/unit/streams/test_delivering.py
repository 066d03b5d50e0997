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
from streams.partitions import TopicPartition
from streams.rescuing import Rescuer
from streams.transport import BatchConsumer, TransportOptions

LOW, HIGH = TP(TOPICS.content("low"), 0), TP(TOPICS.content("high"), 0)


class Group:
    """A consumer that is connected to nobody, in its first generation."""

    def __init__(self, directory: Path) -> None:
        self.partitions = book(ManualClock())
        options = TransportOptions(
            partitions=self.partitions,
            consumer_options={},
            rescuer=Rescuer({}),
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
    made.consumer._thread.thread_loop.close()  # noqa: SLF001


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
