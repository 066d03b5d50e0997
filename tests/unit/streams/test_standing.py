"""How long a partition stands still: since what waits was seen, moved, or was let go."""

from __future__ import annotations

import pytest
from stages import TOPICS, fetched, records

from streams.clock import ManualClock
from streams.core.watching import Standing
from streams.partitions import Partitions, Reading, TopicPartition
from streams.standing import Lookout

LOW = TOPICS.content("low")
TP = TopicPartition(LOW, 0)
OTHER = TopicPartition(LOW, 1)


@pytest.fixture
def lookout(owned: Partitions) -> Lookout:
    return Lookout(owned)


def test_what_is_unread_stands_from_the_moment_it_was_seen(
    owned: Partitions, lookout: Lookout, clock: ManualClock
):
    readings = {TP: Reading(5, 5), OTHER: Reading(0, 3)}
    owned.reading_of = readings.get
    assert dict(lookout.look()) == {OTHER: Standing(0, 0, 0, behind=3)}
    clock.advance(1_000)
    readings[TP] = Reading(5, 6)
    assert dict(lookout.look()) == {
        TP: Standing(0, 0, 0, behind=1),
        OTHER: Standing(0, 1_000, 1_000, behind=3),
    }
    clock.advance(500)
    readings[OTHER] = Reading(1, 9)
    owned.pause(frozenset({LOW}))
    assert dict(lookout.look()) == {
        TP: Standing(0, 0, 500, behind=1, cause="paused"),
        OTHER: Standing(0, 0, 0, behind=8, cause="paused"),
    }


def test_of_a_partition_with_something_unsettled_that_is_told(
    owned: Partitions, lookout: Lookout, clock: ManualClock
):
    owned.reading_of = {TP: Reading(3, 9)}.get
    batch = fetched(owned, records(LOW, [b"x"] * 3))
    dict(lookout.look())
    clock.advance(1_000)
    ((tp, standing),) = lookout.look()
    assert (tp, standing.unsettled, standing.behind, standing.still_ms) == (TP, 3, 0, 1_000)
    batch.settle_all()
    clock.advance(200)
    assert dict(lookout.look()) == {TP: Standing(0, 200, 1_200, behind=6)}, "it moved 200 ms ago"


def test_how_old_records_are_is_asked_ever_more_seldom_where_nobody_knows(
    owned: Partitions, lookout: Lookout, clock: ManualClock
):
    owned.reading_of = {TP: Reading(5, 6)}.get
    asked_after_s = []
    for second in range(1, 601):
        dict(lookout.look())
        for tp, position in tuple(lookout.without_age()):
            lookout.learn_age(tp, position, None)
            asked_after_s.append(second)
        clock.advance(1_000)
    assert asked_after_s == [62, 124, 248, 496]


def test_what_comes_in_while_a_topic_is_paused_is_seen_though_nobody_fetches_it(
    owned: Partitions, lookout: Lookout
):
    owned.reading_of = {TP: Reading(5, 5), OTHER: Reading(0, 0)}.get
    owned.pause(frozenset({LOW}))
    owned.ends = {TP: 12}
    assert dict(lookout.look()) == {TP: Standing(0, 0, 0, behind=7, cause="paused")}
