"""How far held partitions go is asked of Kafka: their lag is true though nobody fetches them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any, NamedTuple

import confluent_kafka as ck
import pytest
from deadline import eventually
from stages import TOPICS, book, fetched, records

from infra.ends import HeldEnds
from streams.clock import ManualClock
from streams.partitions import Partitions, Reading, TopicPartition

HIGH = TopicPartition(TOPICS.content("high"), 0)
LOW = TopicPartition(TOPICS.content("low"), 0)


class Told(NamedTuple):
    """What Kafka says of a partition."""

    offset: int


class FakeAdmin:
    """Answers with the ends that it is given, or with an error, or not at all."""

    def __init__(self) -> None:
        self.end: int | None = 0
        self.is_away = False
        self.asked: list[set[tuple[str, int]]] = []

    def list_offsets(self, places: Mapping[ck.TopicPartition, Any], **_: Any) -> Mapping[Any, Future[Told]]:
        self.asked.append({(place.topic, place.partition) for place in places})
        answers: dict[ck.TopicPartition, Future[Told]] = {place: Future() for place in places}
        for answer in answers.values() if not self.is_away else ():
            if self.end is None:
                answer.set_exception(ck.KafkaException("timed out"))
            else:
                answer.set_result(Told(self.end))
        return answers


@pytest.fixture
def stage() -> Partitions:
    """Give a book of two partitions, of which five records each were fetched and settled."""
    partitions = book(ManualClock())
    partitions.open([HIGH, LOW])
    for tp in (HIGH, LOW):
        fetched(partitions, records(tp.topic, [b"x"] * 5)).settle_all()
    partitions.reading_of = lambda _: Reading(5, 5)
    return partitions


@pytest.fixture
def admin() -> FakeAdmin:
    return FakeAdmin()


@pytest.fixture
def ends(stage: Partitions, admin: FakeAdmin) -> HeldEnds:
    return HeldEnds(lambda: (stage,), lambda: admin)  # type: ignore[arg-type,return-value]


def _lag(stage: Partitions) -> int:
    return sum(partition.lag for partition in stage.status().partitions)


async def test_the_lag_of_a_held_partition_grows_with_what_comes_in(
    stage: Partitions, ends: HeldEnds, admin: FakeAdmin
) -> None:
    stage.pause(frozenset({LOW.topic}))
    admin.end = 240
    await ends.look()
    assert admin.asked == [{LOW}], "of what is fetched, the fetches tell"
    assert _lag(stage) == 235


async def test_where_nothing_is_held_nobody_is_asked(
    stage: Partitions, ends: HeldEnds, admin: FakeAdmin
) -> None:
    stage.pause(frozenset({LOW.topic}))
    admin.end = 240
    await ends.look()
    stage.pause(frozenset())
    await ends.look()
    assert (len(admin.asked), stage.ends, _lag(stage)) == (1, {}, 0)


async def test_what_no_broker_answers_stays_what_it_was(
    stage: Partitions, ends: HeldEnds, admin: FakeAdmin
) -> None:
    stage.pause(frozenset({LOW.topic}))
    admin.end = 240
    await ends.look()
    admin.end = None
    await ends.look()
    assert (len(admin.asked), _lag(stage)) == (2, 235)


async def test_a_stop_does_not_wait_for_a_broker_that_is_away(
    stage: Partitions, ends: HeldEnds, admin: FakeAdmin
) -> None:
    stage.pause(frozenset({LOW.topic}))
    admin.is_away = True
    async with asyncio.timeout(5):
        await ends.start()
        await eventually(lambda: admin.asked, within_s=5)
        await ends.stop()
    assert ends.crash_reason is None


def test_what_stands_by_order_since_before_the_start_is_behind_from_where_it_was_committed() -> None:
    stage = book(ManualClock())
    stage.open([LOW])
    stage.known_committed({LOW: 30})
    stage.ends = {LOW: 240}
    assert stage.reading(LOW) == Reading(30, 240)
    assert _lag(stage) == 210
