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

import aiokafka
from faust.types import TP
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from stages import TOPICS, book, records

from streams.app import stage_app
from streams.clock import ManualClock
from streams.core.pressure import Bounds
from streams.fetching import TransportOptions
from streams.partitions import Batch, TopicPartition
from streams.transport import BatchConsumer

TPS = tuple(TP(TOPICS.content(priority), 0) for priority in ("critical", "medium", "low"))
BOUNDS = Bounds(
    partition_records_max=6, partition_bytes_max=1 << 20, total_records_max=12, total_bytes_max=1 << 20
)
FETCH_MAX = 4

tps = st.sampled_from(TPS)
topic_sets = st.frozensets(st.sampled_from([tp.topic for tp in TPS]))


class FakeBrokers:
    """Partitions with so many records each, and how far they were fetched; also the thread that asks them."""

    def __init__(self) -> None:
        self.ends: dict[TP, int] = dict.fromkeys(TPS, 0)
        self.positions: dict[TP, int] = dict.fromkeys(TPS, 0)
        self.fetched_in = 1
        self.unreadable: set[TopicPartition] = set()
        self.before_the_answer: Callable[[], None] = lambda: None
        self.asked: list[set[TP]] = []

    async def getmany(self, active: set[TP], _timeout: float) -> Mapping[TP, list[Any]]:
        self.asked.append(set(active))
        found = {}
        for tp in active:
            first, end = self.positions[tp], min(self.ends[tp], self.positions[tp] + FETCH_MAX)
            if first < end:
                found[tp] = records(tp.topic, [b"x"] * (end - first), first=first)
                self.positions[tp] = end
        self.before_the_answer()
        return found

    async def earliest_offsets(self, tp: aiokafka.TopicPartition) -> Mapping[aiokafka.TopicPartition, int]:
        return {tp: 0}

    async def call_thread(self, work: Callable[..., Any], *args: Any) -> None:
        await work(*args)

    async def look_again(self, tp: aiokafka.TopicPartition, offset: int) -> None:
        self.positions[TP(*tp)] = offset

    def read(self, topic: str, partition: int, offset: int, count: int) -> list[Any]:
        """What another client reads of a partition."""
        end = min(self.ends[TP(topic, partition)], offset + count)
        return records(topic, [b"x"] * (end - offset), first=offset)


class FlowMachine(RuleBasedStateMachine):
    """A consumer beside a model: what was handed over of each partition since it was assigned."""

    @initialize()
    def start(self):
        self.runner = asyncio.Runner()
        self.runner.run(self._start())

    async def _start(self):
        self.directory = tempfile.TemporaryDirectory()
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
        self.consumer._getmany = self.brokers.getmany  # noqa: SLF001
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
        self.partitions.committed(offsets)
        self.committed |= {TP(*tp): offset for tp, offset in offsets.items()}

    @rule()
    def the_group_is_cut_anew(self):
        self.a_commit()
        self.consumer.stop_flow()
        self.runner.run(self._assign())

    # -- what is promised -----------------------------------------------------------------------------------

    @invariant()
    def each_record_was_handed_over_once_and_in_order(self):
        for offsets in self.handed.values():
            first = offsets[0] if offsets else 0
            assert offsets == list(range(first, first + len(offsets)))

    @invariant()
    def nothing_is_committed_that_was_not_handed_over(self):
        for tp, at in self.committed.items():
            if self.handed[tp]:
                assert at <= self.handed[tp][-1] + 1

    @invariant()
    def what_is_unsettled_is_bounded(self):
        for owned in self.partitions.owned.values():
            assert owned.watermark.unsettled < BOUNDS.partition_records_max + FETCH_MAX

    def teardown(self):
        """Once everything is resumed and settled, all that was written has been handed over.

        A fetch that went astray shows when the next record comes.
        """
        if not hasattr(self, "runner"):
            return
        try:
            self._assert_nothing_is_left()
        finally:
            self.runner.close()
            self.directory.cleanup()

    def _assert_nothing_is_left(self):
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
