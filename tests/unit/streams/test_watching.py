"""The watchdog: what stands still is told once, and again only when it was well in between."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Sequence

import pytest
from stages import BOUNDS, FakeNode, book, fetched, records
from virtual_time import LoopClock, virtual

from schemas.settings import EngineSettings, JudgeSettings
from streams.core.pressure import Bounds
from streams.dispatch import Dispatch
from streams.observing import AWAY_AFTER_MS, Tally
from streams.partitions import Batch, Partitions, Reading, TopicPartition
from streams.watching import Watchdog

TOPIC = "pending.low"
TP = TopicPartition(TOPIC, 0)
OTHER = TopicPartition("pending.high", 0)
STUCK_AFTER_S = 30
HOUR_MS = 3_600_000


class Watched:
    """A watchdog, what it watches, and what it has told."""

    def __init__(self, *, nodes: int = 1, bounds: Bounds = BOUNDS) -> None:
        self.clock = LoopClock()
        self.partitions: Partitions = book(self.clock, stage="judge", bounds=bounds)
        self.partitions.open([(TOPIC, 0)])
        self.readings: dict[TopicPartition, Reading] = {}
        self.partitions.reading_of = self.readings.get
        self.tally = Tally()
        self.asked: list[int] = []
        self.watchdog = Watchdog(
            lambda: [self.partitions],
            Dispatch([FakeNode() for _ in range(nodes)], JudgeSettings, self.clock),
            lambda: EngineSettings(stuck_after_s=STUCK_AFTER_S),
            HOUR_MS,
            self.tally,
            self,
        )

    async def written_at_ms(self, _topic: str, _partition: int, offset: int) -> int:
        """As another client would say: what is unread was written long ago."""
        self.asked.append(offset)
        return int(self.clock.wall_ms() - 3 * HOUR_MS / 4)

    async def watch(self, seconds: float) -> None:
        """Let time pass, and look as often as the watchdog does."""
        for _ in range(int(seconds * 2)):
            self.watchdog.look()
            await asyncio.sleep(0.5)
        self.watchdog.look()

    def hand_out(self, values: Sequence[bytes], timestamp_ms: int) -> Batch:
        """An agent gets records that were written then."""
        written = [record._replace(timestamp=timestamp_ms) for record in records(TOPIC, values)]
        return fetched(self.partitions, written)


@virtual
async def test_a_partition_that_does_not_move_is_told_once():

    watched = Watched()
    batch = watched.hand_out([b"x", b"y"], watched.clock.wall_ms())
    watched.watchdog.look()
    assert not watched.tally.errors
    await asyncio.sleep(STUCK_AFTER_S + 1)
    watched.watchdog.look()
    watched.watchdog.look()
    assert watched.tally.errors == 1
    assert watched.tally.last_error.startswith("stuck: <Partition pending.low/0 | watermark 0, 2 unsettled")
    batch.settle(0)
    watched.watchdog.look()
    await asyncio.sleep(STUCK_AFTER_S + 1)
    watched.watchdog.look()
    assert watched.tally.errors == 2, "it moved, and stands again"


@virtual
async def test_without_any_node_it_is_held_and_not_stuck():

    watched = Watched(nodes=0)
    watched.hand_out([b"x"], watched.clock.wall_ms())
    await asyncio.sleep(STUCK_AFTER_S + 1)
    watched.watchdog.look()
    assert watched.tally.last_error.startswith("held, because no node would take a question: ")


@virtual
async def test_from_half_the_retention_on_there_is_an_alarm():
    watched = Watched()
    old_ms = watched.clock.wall_ms() - HOUR_MS // 2 - 1
    watched.hand_out([b"x"], old_ms)
    watched.watchdog.look()
    assert watched.tally.last_error.startswith("half of the retention is over for what is unsettled: ")


@virtual
async def test_that_kafka_is_away_is_told_once_and_that_it_is_back_too(caplog: pytest.LogCaptureFixture):
    watched = Watched()
    caplog.set_level(logging.WARNING)
    for away_ms in (0.0, AWAY_AFTER_MS - 1, AWAY_AFTER_MS, 61_000.0, 0.0, 0.0):
        watched.partitions.away_ms = lambda away_ms=away_ms: away_ms
        watched.watchdog.look()
    away, back = [record.getMessage().partition(": ")[2] for record in caplog.records]
    assert away == watched.tally.last_error == "Kafka has not answered for 5 s; the work goes on once it does"
    assert back == "Kafka answers again, after 61 s"
    assert watched.tally.errors == 1


# -- partitions of which the engine holds nothing ----------------------------------------------------------


@virtual
async def test_where_no_fetch_brings_what_is_there_it_is_stuck():
    watched = Watched()
    watched.readings[TP] = Reading(7, 10)
    await watched.watch(STUCK_AFTER_S - 1)
    assert not watched.tally.errors
    await watched.watch(2)
    assert watched.tally.errors == 1
    assert watched.tally.last_error.startswith("stuck, because no fetch brings what is there: <Partition pen")
    assert watched.tally.last_error.endswith(", up to 3 records unread")


@virtual
async def test_an_idle_hour_is_no_standstill():
    watched = Watched()
    watched.readings[TP] = Reading(10, 10)
    await watched.watch(600)
    watched.readings[TP] = Reading(10, 11)
    await watched.watch(STUCK_AFTER_S - 1)
    assert not watched.tally.errors


@virtual
async def test_who_is_behind_and_moves_is_well():
    watched = Watched()
    for position in range(100):
        watched.readings[TP] = Reading(position, position + 1_000)
        await watched.watch(1)
    assert not watched.tally.errors


@virtual
async def test_a_transactions_marker_at_the_end_is_no_lag():
    """The watermark is before it; what was read is not."""
    watched = Watched()
    watched.hand_out([b"x", b"y"], watched.clock.wall_ms()).settle_all()
    watched.readings[TP] = Reading(3, 3)
    await watched.watch(STUCK_AFTER_S * 3)
    assert not watched.tally.errors


@virtual
async def test_a_partition_that_others_hold_is_held_by_the_bounds():
    bounds = Bounds(
        partition_records_max=10, partition_bytes_max=1 << 20, total_records_max=2, total_bytes_max=1 << 20
    )
    watched = Watched(bounds=bounds)
    watched.partitions.open([TP, OTHER])
    full = fetched(watched.partitions, records(OTHER.topic, [b"x", b"y"]))
    watched.readings |= {TP: Reading(0, 5), OTHER: Reading(2, 2)}
    for _ in range(STUCK_AFTER_S + 1):
        await watched.watch(1)
        watched.partitions.hold()
        # The other one moves, and stays full.
        full.settle_all()
        first = full.records[-1].offset + 1
        now_ms = watched.clock.wall_ms()
        full = fetched(
            watched.partitions,
            [one._replace(timestamp=now_ms) for one in records(OTHER.topic, [b"x"] * 2, first=first)],
        )
    assert watched.tally.errors == 1
    assert watched.tally.last_error.startswith("held, because other partitions have as much unsettled")
    full.settle_all()
    watched.partitions.hold()
    await watched.watch(STUCK_AFTER_S - 1)
    assert watched.tally.errors == 1, "it is given time to move"
    await watched.watch(2)
    assert watched.tally.last_error.startswith("stuck, because no fetch brings what is there")


@virtual
async def test_without_any_node_what_was_not_read_is_held_too():
    watched = Watched(nodes=0)
    watched.readings[TP] = Reading(0, 5)
    await watched.watch(STUCK_AFTER_S + 1)
    assert watched.tally.last_error.startswith("held, because no node would take a question: ")


@virtual
async def test_a_pause_is_told_only_when_it_will_cost_records():
    watched = Watched()
    watched.readings[TP] = Reading(0, 5)
    watched.partitions.pause(frozenset({TOPIC}))
    await watched.watch(HOUR_MS // 2_000)
    assert not watched.tally.errors
    await watched.watch(1)
    assert watched.tally.errors == 1
    assert watched.tally.last_error.startswith(
        "half of the retention is over for what waits because its topic is paused: <Partition pending.low/0"
    )


@virtual
async def test_what_is_resumed_is_given_time_to_move():
    watched = Watched()
    watched.readings[TP] = Reading(0, 5)
    watched.partitions.pause(frozenset({TOPIC}))
    await watched.watch(STUCK_AFTER_S * 2)
    watched.partitions.pause(frozenset())
    await watched.watch(STUCK_AFTER_S - 1)
    assert not watched.tally.errors
    await watched.watch(2)
    assert watched.tally.last_error.startswith("stuck, ")


@virtual
async def test_how_long_a_record_waits_is_known_over_a_rebalance():
    watched = Watched()
    watched.readings[TP] = Reading(0, 5)
    watched.partitions.pause(frozenset({TOPIC}))
    await watched.watch(HOUR_MS // 4_000)
    del watched.readings[TP]
    watched.partitions.open([TP])
    await watched.watch(1)
    watched.readings[TP] = Reading(0, 6)
    await watched.watch(HOUR_MS // 4_000)
    assert watched.tally.last_error.startswith(
        "half of the retention is over for what waits because its topic"
    )


@virtual
async def test_a_hole_that_is_looked_at_again_and_again_is_a_standstill():
    """Between two looks aiokafka's position is beyond it, and nothing seems to be left."""
    watched = Watched()
    watched.hand_out([b"x"], watched.clock.wall_ms()).settle_all()
    watched.partitions.owned[TP].looked_again_at = 1
    for _ in range(STUCK_AFTER_S + 1):
        watched.readings[TP] = Reading(1, 9)
        await watched.watch(1)
        watched.readings[TP] = Reading(9, 9)
        watched.watchdog.look()
    assert watched.tally.errors == 1


@virtual
async def test_a_cause_that_comes_and_goes_is_told_once():
    tight = Bounds(
        partition_records_max=10, partition_bytes_max=1 << 20, total_records_max=2, total_bytes_max=1 << 20
    )
    watched = Watched(nodes=0)
    watched.partitions.open([TP, OTHER])
    fetched(watched.partitions, records(OTHER.topic, [b"x", b"y"]))
    watched.partitions.owned[OTHER].watermark.moved_at_ms = math.inf
    watched.readings[TP] = Reading(0, 5)
    for flip in range(10):
        watched.partitions.bounds = lambda flip=flip: (BOUNDS, tight)[flip % 2]
        await watched.watch(STUCK_AFTER_S + 1)
    of_nodes_and_of_bounds = 2
    assert watched.tally.errors == of_nodes_and_of_bounds


@virtual
async def test_what_was_well_in_between_is_told_again():
    watched = Watched()
    for position in (0, 3):
        watched.readings[TP] = Reading(position, 5)
        await watched.watch(STUCK_AFTER_S + 1)
    assert watched.tally.errors == 2


@virtual
async def test_a_restart_does_not_hide_how_old_the_records_of_a_paused_topic_are():
    watched = Watched()
    watched.readings[TP] = Reading(7, 10)
    watched.partitions.pause(frozenset({TOPIC}))
    await watched.watch(50)
    await watched.watchdog.ask_for_ages()
    assert watched.asked == [], "it may be on its way"
    await watched.watch(20)
    await watched.watchdog.ask_for_ages()
    await watched.watchdog.ask_for_ages()
    assert watched.asked == [7], "once"
    watched.watchdog.look()
    assert watched.tally.last_error.startswith(
        "half of the retention is over for what waits because its topic is paused: "
    )
