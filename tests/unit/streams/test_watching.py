"""The watchdog: what stands still is told once, and again only when it was well in between."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

import pytest
from stages import FakeNode, book, fetched, records
from virtual_time import LoopClock, virtual

from schemas.settings import EngineSettings, JudgeSettings
from streams.dispatch import Dispatch
from streams.observing import AWAY_AFTER_MS, Tally
from streams.partitions import Batch, Partitions
from streams.watching import Watchdog

TOPIC = "pending.low"
STUCK_AFTER_S = 30
HOUR_MS = 3_600_000


class Watched:
    """A watchdog, what it watches, and what it has told."""

    def __init__(self, *, nodes: int = 1) -> None:
        self.clock = LoopClock()
        self.partitions: Partitions = book(self.clock, stage="judge")
        self.partitions.open([(TOPIC, 0)])
        self.tally = Tally()
        self.watchdog = Watchdog(
            lambda: [self.partitions],
            Dispatch([FakeNode() for _ in range(nodes)], JudgeSettings, self.clock),
            lambda: EngineSettings(stuck_after_s=STUCK_AFTER_S),
            HOUR_MS,
            self.tally,
        )

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
