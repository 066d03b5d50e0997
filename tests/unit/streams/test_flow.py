"""Pausing and resuming, holding and releasing, in any order: nothing is lost by it, and nothing comes twice.

The real consumer and its book, with brokers that are a list of offsets for each partition. Orders of an
operator come between two fetches, and in the middle of one; fetches go astray; the group is cut anew.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from unittest.mock import patch

from aiokafka.errors import KafkaTimeoutError
from faust.types import TP
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from stages import TOPICS, book, records

import streams.continuity
from streams.app import stage_app
from streams.clock import ManualClock
from streams.core.pressure import Bounds
from streams.fetching import Taken, TransportOptions, Trouble
from streams.partitions import Batch, TopicPartition
from streams.rescuing import AT_ONCE
from streams.transport import BatchConsumer

TPS = tuple(TP(TOPICS.content(priority), 0) for priority in ("critical", "medium", "low"))
BOUNDS = Bounds(
    partition_records_max=6, partition_bytes_max=1 << 20, total_records_max=12, total_bytes_max=1 << 20
)
FETCH_MAX = 4

tps = st.sampled_from(TPS)
topic_sets = st.frozensets(st.sampled_from([tp.topic for tp in TPS]))


class FakeBrokers:
    """Partitions with so many offsets each, and how far they were fetched; also the thread that asks them.

    Some offsets are no records: markers, or what compaction took. One record may be such that aiokafka cannot
    read it. What stands before `starts` is gone. While `is_away`, nobody says what there is.
    """

    def __init__(self) -> None:
        self.ends: dict[TP, int] = dict.fromkeys(TPS, 0)
        self.positions: dict[TP, int] = dict.fromkeys(TPS, 0)
        self.starts: dict[TP, int] = dict.fromkeys(TPS, 0)
        self.empty: set[tuple[TP, int]] = set()
        self.bad: set[tuple[TP, int]] = set()
        self.is_away = False
        self.fetched_in = 1
        self.troubled: dict[TopicPartition, Trouble] = {}
        self.before_the_answer: Callable[[], None] = lambda: None
        self.asked: list[set[TP]] = []

    async def getmany(self, active: set[TP], _timeout: float) -> Mapping[TP, Taken]:
        self.asked.append(set(active))
        found = {tp: taken for tp in active if (taken := self._taken(tp)) is not None}
        self.before_the_answer()
        return found

    def _taken(self, tp: TP) -> Taken | None:
        first, end = self.positions[tp], min(self.ends[tp], self.positions[tp] + FETCH_MAX)
        if first < self.starts[tp] or first > self.ends[tp]:
            self.troubled[TopicPartition(*tp)] = "placeless"
            return None
        if any((tp, offset) in self.bad for offset in range(first, end)):
            self.troubled[TopicPartition(*tp)] = "unreadable"
            return None
        self.positions[tp] = end
        return Taken(first, self._records(tp, first, end), end) if first < end else None

    def _records(self, tp: TP, first: int, end: int) -> list[Any]:
        every = records(tp.topic, [b"x"] * max(0, end - first), first=first)
        return [record for record in every if (tp, record.offset) not in self.empty]

    async def aside(self, work: Callable[..., Any], *args: Any) -> Any:
        return await work(*args)

    async def seek_to(self, tp: TopicPartition, offset: int) -> None:
        self.positions[TP(*tp)] = offset

    async def range_of(self, tp: TopicPartition) -> tuple[int, int]:
        if self.is_away:
            raise KafkaTimeoutError
        return self.starts[TP(*tp)], self.ends[TP(*tp)]

    def read(self, topic: str, partition: int, offset: int | None, count: int) -> list[Any]:
        """What another client reads of a partition."""
        tp = TP(topic, partition)
        if self.is_away:
            return []
        first = self.starts[tp] if offset is None else offset
        return [] if first < self.starts[tp] else self._records(tp, first, self.ends[tp])[:count]


class FlowMachine(RuleBasedStateMachine):
    """A consumer beside a model: what was handed over of each partition since it was assigned."""

    @initialize()
    def start(self):
        self.runner = asyncio.Runner()
        self.runner.run(self._start())

    async def _start(self):
        self.directory = tempfile.TemporaryDirectory()
        self.patience = patch.object(streams.continuity, "_ASK_AGAIN_S", 0.001)
        self.patience.start()
        self.brokers = FakeBrokers()
        self.partitions = book(ManualClock(), bounds=BOUNDS)
        options = TransportOptions(
            partitions=self.partitions,
            consumer_options={},
            rescuer=self.brokers,
            batch_records_max=FETCH_MAX,
            drain_timeout_ms=0,
        )
        self.app = stage_app(
            group="group",
            options=options,
            datadir=Path(self.directory.name),
            instance=None,
            commit_interval_ms=500,
        )
        self.consumer = BatchConsumer(
            self.app.transport,
            callback=self._hand,
            on_partitions_revoked=_nothing,
            on_partitions_assigned=_nothing,
        )
        self.consumer._thread.thread_loop.close()  # noqa: SLF001
        self.consumer._thread = self.consumer._continuity.thread = self.brokers  # noqa: SLF001
        self.generation = 0
        self.committed: dict[TP, int] = dict.fromkeys(TPS, 0)
        await self._assign()

    async def _assign(self):
        self.generation += 1
        self.app.consumer_generation_id = self.brokers.fetched_in = self.generation
        await self.consumer.on_partitions_assigned(set(TPS), self.generation)
        self.consumer._active_partitions = set(TPS)  # noqa: SLF001
        self.consumer.resume_flow()
        self.brokers.positions = dict(self.committed)
        self.partitions.known_committed({TopicPartition(*tp): at for tp, at in self.committed.items()})
        self.handed: dict[TP, list[int]] = defaultdict(list)
        self.open: list[Batch] = []

    async def _hand(self, message: Any) -> None:
        batch = message.value
        assert batch.topic not in self.partitions.paused
        assert batch.take()
        self.handed[message.tp] += [record.offset for record in batch.records]
        self.open.append(batch)

    # -- what happens ---------------------------------------------------------------------------------------

    @rule(tp=tps, count=st.integers(1, 9))
    def records_are_written(self, tp, count):
        self.brokers.ends[tp] += count

    @rule(tp=tps, count=st.integers(1, 2 * FETCH_MAX))
    def offsets_without_a_record_are_written(self, tp, count):
        """Markers of transactions, or what compaction took."""
        first = self.brokers.ends[tp]
        self.brokers.empty |= {(tp, offset) for offset in range(first, first + count)}
        self.brokers.ends[tp] += count

    @rule(tp=tps)
    def a_record_that_aiokafka_cannot_read_is_written(self, tp):
        self.brokers.bad.add((tp, self.brokers.ends[tp]))
        self.brokers.ends[tp] += 1

    @rule(tp=tps)
    def retention_deletes_what_was_handed_over(self, tp):
        expected = self.partitions.owned[TopicPartition(*tp)].expected
        self.brokers.starts[tp] = max(self.brokers.starts[tp], min(expected or 0, self.committed[tp]))

    @rule(is_away=st.booleans())
    def brokers_go_away_and_come_back(self, is_away):
        self.brokers.is_away = is_away

    @rule(during=st.none() | topic_sets)
    def a_fetch(self, during):
        """Sometimes an order comes while it is under way."""
        if during is not None:
            self.brokers.before_the_answer = lambda: self.partitions.pause(during)
        may_be_asked = set(TPS) - {TP(*tp) for tp in self.partitions.held()}
        self.brokers.asked.clear()
        self.runner.run(self._fetch())
        self.brokers.before_the_answer = lambda: None
        assert all(asked <= may_be_asked for asked in self.brokers.asked)

    async def _fetch(self):
        # Whoever reads by another way does so in a thread.
        if self.consumer._continuity.mending:  # noqa: SLF001
            await asyncio.sleep(0.001)
        await self.consumer._deliver(await self.consumer._next_records())  # noqa: SLF001

    @rule(topics=topic_sets)
    def an_operator_pauses_some_topics_and_resumes_the_others(self, topics):
        self.partitions.pause(topics)

    @rule(tp=tps, count=st.integers(1, FETCH_MAX))
    def a_fetch_goes_astray(self, tp, count):
        """Its records never arrive, and the position is beyond them."""
        self.brokers.positions[tp] = min(self.brokers.ends[tp], self.brokers.positions[tp] + count)

    @precondition(lambda self: self.open)
    @rule(chance=st.randoms(use_true_random=False), share=st.floats(0, 1))
    def work_ends(self, chance, share):
        batch = self.open.pop(chance.randrange(len(self.open)))
        offsets = [record.offset for record in batch.records]
        for offset in chance.sample(offsets, round(share * len(offsets))):
            batch.settle(offset)
        if chance.random() < 0.8:
            batch.settle_all()
        else:
            self.open.append(batch)

    @rule()
    def a_commit(self):
        offsets = self.partitions.committable()
        self.partitions.committed(offsets, self.partitions.owned)
        self.committed |= {TP(*tp): offset for tp, offset in offsets.items()}

    @rule()
    def the_group_is_cut_anew(self):
        self.a_commit()
        self.consumer.stop_flow()
        self.runner.run(self._assign())

    # -- what is promised -----------------------------------------------------------------------------------

    @invariant()
    def each_record_was_handed_over_once_and_in_order(self):
        for tp, offsets in self.handed.items():
            if offsets:
                span = range(offsets[0], offsets[-1] + 1)
                assert offsets == [offset for offset in span if (tp, offset) not in self.brokers.empty]

    @invariant()
    def nothing_is_committed_that_was_not_handed_over(self):
        for tp, at in self.committed.items():
            if self.handed[tp]:
                assert at <= self.handed[tp][-1] + 1

    @invariant()
    def what_is_unsettled_is_bounded(self):
        for owned in self.partitions.owned.values():
            assert owned.watermark.unsettled < BOUNDS.partition_records_max + AT_ONCE

    def teardown(self):
        """Once everything is resumed and settled, all that was written has been handed over.

        A fetch that went astray shows when the next record comes.
        """
        if not hasattr(self, "runner"):
            return
        try:
            self._assert_nothing_is_left()
        finally:
            self.patience.stop()
            self.runner.close()
            self.directory.cleanup()

    def _assert_nothing_is_left(self):
        self.brokers.is_away = False
        for tp in TPS:
            self.brokers.ends[tp] += 1
        self.partitions.pause(frozenset())
        for _ in range(2_000):
            for batch in self.open:
                batch.settle_all()
            self.open.clear()
            if all(self._is_done(tp) for tp in TPS):
                break
            self.runner.run(self._fetch())
        assert [tp for tp in TPS if not self._is_done(tp)] == []

    def _is_done(self, tp):
        owned = self.partitions.owned[TopicPartition(*tp)]
        return (owned.expected or 0) == self.brokers.ends[tp]


async def _nothing(*_: Any) -> None:
    """Faust's app would answer here."""


FlowMachine.TestCase.settings = settings(max_examples=80, stateful_step_count=25, deadline=None)
TestFlow = FlowMachine.TestCase
