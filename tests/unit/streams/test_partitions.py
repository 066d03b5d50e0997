"""The book of partitions: what is settled may be committed; drains and rebalances lose nothing."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from stages import BOUNDS, TOPICS, book, fetched, records

from streams.clock import ManualClock
from streams.core.pressure import Bounds
from streams.partitions import Batch, Partitions, Reading, TopicPartition

LOW, CRITICAL = TOPICS.content("low"), TOPICS.content("critical")
TP = TopicPartition(LOW, 0)
OTHER = TopicPartition(LOW, 1)


def batch_of(partitions: Partitions, count: int, *, first: int = 0, tp: TopicPartition = TP) -> Batch:
    return fetched(partitions, records(tp.topic, [b"x"] * count, partition=tp.partition, first=first))


def test_a_batch_is_what_a_fetch_brought(owned: Partitions):
    batch = batch_of(owned, 3, first=40)
    assert [record.offset for record in batch.records] == [40, 41, 42]
    assert (batch.topic, batch.partition) == TP
    assert repr(batch) == "<Batch content.low/0 | <Span 40..42 | 3 of 3 unsettled>>"


def test_settling_a_batch_moves_what_may_be_committed(owned: Partitions):
    batch = batch_of(owned, 3)
    assert owned.committable() == {TP: 0}
    batch.settle_all()
    assert owned.committable() == {TP: 3}
    assert (owned.counts.settled, owned.awaited) == (3, 0)


def test_settling_record_by_record_commits_the_contiguous_part_only(owned: Partitions):
    batch = batch_of(owned, 3)
    batch.settle(2)
    batch.settle(0)
    assert owned.committable() == {TP: 1}
    batch.settle(1)
    assert owned.committable() == {TP: 3}


def test_a_record_settled_twice_counts_once(owned: Partitions):
    batch = batch_of(owned, 2)
    batch.settle(0)
    batch.settle(0)
    batch.settle_all()
    batch.settle_all()
    assert owned.counts.settled == 2


def test_what_is_committed_is_not_committed_again_until_it_moves(owned: Partitions):
    batch = batch_of(owned, 2)
    batch.settle(0)
    owned.committed(owned.committable(), owned.owned)
    assert owned.committable() == {}
    batch.settle(1)
    assert owned.committable() == {TP: 2}
    assert owned.counts.commits == 1


def test_a_partition_without_records_has_nothing_to_commit(owned: Partitions):
    owned.known_committed({TP: 37})
    assert owned.committable() == {}
    assert owned.owned[TP].expected == 37


def test_the_next_fetch_should_begin_where_the_last_one_ended(owned: Partitions):
    owned.known_committed({TP: 37})
    batch_of(owned, 2, first=37)
    assert owned.owned[TP].expected == 39


def test_what_a_fetch_repeats_is_handed_out_once(owned: Partitions):
    batch_of(owned, 3)
    assert owned.fetched(TP, records(LOW, [b"x"] * 3)) is None
    again = owned.fetched(TP, records(LOW, [b"x"] * 5))
    assert again is not None
    assert [record.offset for record in again.records] == [3, 4]


def test_records_of_a_partition_that_is_not_ours_are_not_handed_out(owned: Partitions):
    assert owned.fetched((LOW, 3), records(LOW, [b"x"], partition=3)) is None
    assert owned.fetched(TP, []) is None


def test_a_batch_waits_until_it_is_taken(owned: Partitions):
    batch = owned.fetched(TP, records(LOW, [b"x"]))
    assert batch is not None
    assert owned.waiting == 1
    assert batch.take()
    assert owned.waiting == 0


# -- drains --------------------------------------------------------------------------------------------


def test_a_drain_gives_up_what_nobody_began_and_waits_for_the_rest(owned: Partitions):
    batch_of(owned, 2)
    waiting = owned.fetched(OTHER, records(LOW, [b"x"] * 5, partition=1))
    assert waiting is not None
    owned.begin_drain()
    assert (owned.awaited, owned.waiting) == (2, 0)


def test_what_a_drain_gave_up_is_not_begun_any_more(owned: Partitions):
    waiting = owned.fetched(TP, records(LOW, [b"x"]))
    assert waiting is not None
    owned.begin_drain()
    assert not waiting.take()


def test_during_a_drain_no_work_should_begin(owned: Partitions):
    batch = batch_of(owned, 1)
    assert batch.is_wanted
    owned.begin_drain()
    assert not batch.is_wanted
    owned.open([TP])
    assert not batch.is_wanted
    assert batch_of(owned, 1).is_wanted


def test_a_drain_tells_who_holds_work_and_what_they_abandon_is_not_waited_for(owned: Partitions):
    batch = batch_of(owned, 3)
    owned.on_drain.append(lambda: batch.abandon([1]))
    owned.begin_drain()
    assert owned.awaited == 2
    batch.settle(0)
    batch.settle(2)
    assert (owned.awaited, owned.committable()) == (0, {TP: 1})


def test_abandoning_what_is_settled_changes_nothing(owned: Partitions):
    batch = batch_of(owned, 2)
    batch.settle(0)
    batch.abandon([0])
    assert owned.awaited == 1
    batch.settle_all()
    assert owned.committable() == {TP: 2}


@pytest.mark.parametrize("leave", [Partitions.close, lambda partitions: partitions.open([TP])])
def test_a_batch_of_a_partition_that_was_given_away_is_powerless(owned: Partitions, leave):
    """Even where the same partition came back: it is read again from what was committed."""
    batch = batch_of(owned, 2)
    waiting = owned.fetched(TP, records(LOW, [b"x"], first=2))
    assert waiting is not None
    leave(owned)
    batch.settle(0)
    batch.settle_all()
    assert not waiting.take()
    assert (owned.committable(), owned.counts.settled, owned.waiting) == ({}, 0, 0)


def test_progress_is_told_whenever_somebody_may_wait_for_it(owned: Partitions):
    batch = owned.fetched(TP, records(LOW, [b"x"] * 4))
    assert batch is not None
    for step in (
        batch.take,
        lambda: batch.settle(0),
        lambda: batch.abandon([1]),
        batch.settle_all,
        lambda: owned.pause(frozenset()),
        owned.close,
    ):
        owned.progress.clear()
        step()
        assert owned.progress.is_set()


# -- figures and commits on size -----------------------------------------------------------------------


def test_a_commit_is_due_when_so_many_are_settled(owned: Partitions):
    owned.commit_records_max = 5
    first, second = batch_of(owned, 4), batch_of(owned, 4, tp=OTHER)
    first.settle_all()
    assert not owned.commit_due.is_set()
    second.settle(0)
    assert owned.commit_due.is_set()
    owned.commit_began()
    assert not owned.commit_due.is_set()
    second.settle_all()
    assert not owned.commit_due.is_set(), "three more"
    batch_of(owned, 2, first=4).settle_all()
    assert owned.commit_due.is_set()


def test_what_was_settled_before_a_rebalance_does_not_make_a_commit_due_after_it(owned: Partitions):
    owned.commit_records_max = 5
    batch_of(owned, 4).settle_all()
    owned.open([TP])
    batch_of(owned, 4).settle_all()
    assert not owned.commit_due.is_set()


def test_what_is_handed_out_again_is_counted(owned: Partitions):
    batch_of(owned, 4)
    assert owned.fetched(TP, records(LOW, [b"x"] * 4)) is None
    assert owned.counts.redelivered == 4, "a second look"
    owned.open([TP])
    batch_of(owned, 3, first=2)
    assert owned.counts.redelivered == 6, "after a rebalance, and one of the three is new"
    batch_of(owned, 3, first=5)
    assert owned.counts.redelivered == 6


def test_a_partition_that_is_held_is_counted_once_until_it_is_free_again(clock: ManualClock):
    bounds = Bounds(
        partition_records_max=2, partition_bytes_max=1 << 20, total_records_max=1_000, total_bytes_max=1 << 20
    )
    partitions = book(clock, bounds=bounds)
    partitions.open([TP, OTHER])
    batch = batch_of(partitions, 2)
    assert partitions.hold() == partitions.hold() == {TP}
    assert partitions.counts.holds == 1
    batch.settle(0)
    assert partitions.hold() == set()
    batch_of(partitions, 1, first=2)
    partitions.hold()
    assert partitions.counts.holds == 2


def test_a_rebalance_lasts_from_the_end_of_work_to_the_assignment(owned: Partitions, clock: ManualClock):
    for lasted_ms in (300, 200):
        owned.rebalance_began()
        clock.advance(100)
        owned.rebalance_began()
        clock.advance(lasted_ms - 100)
        owned.rebalance_ended()
        clock.advance(1_000)
    status = owned.status()
    assert (status.rebalances, status.rebalance_ms, status.rebalance_last_ms) == (2, 500, 200)
    assert str(status) == (
        "<Stage test | 2 partitions, 0 unsettled, 0 settled, 0 of them redelivered, 0 commits, 0 failed, "
        "2 rebalances in 0.5 s, the last in 0.2 s, 0 holds, 0 failures, 0 condemned>"
    )


def test_a_part_of_a_batch_settles_its_own_records_only(owned: Partitions):
    batch = batch_of(owned, 4)
    part = batch.part(batch.records[:2])
    part.settle_all()
    assert (owned.committable(), owned.counts.settled) == ({TP: 2}, 2)
    batch.part(()).settle_all()
    batch.part(batch.records).settle_all()
    assert (owned.committable(), owned.counts.settled) == ({TP: 4}, 4)


# -- flow ----------------------------------------------------------------------------------------------


def test_a_partition_at_its_bound_is_held_until_something_is_settled(clock: ManualClock):
    bounds = Bounds(
        partition_records_max=2, partition_bytes_max=1 << 20, total_records_max=1_000, total_bytes_max=1 << 20
    )
    partitions = book(clock, bounds=bounds)
    partitions.open([TP, OTHER])
    batch = batch_of(partitions, 2)
    assert partitions.held() == {TP}
    batch.settle(1)
    assert partitions.held() == set()


def test_the_bytes_of_headers_and_keys_hold_a_partition(clock: ManualClock):
    bounds = Bounds(
        partition_records_max=100, partition_bytes_max=10_000, total_records_max=100, total_bytes_max=1 << 20
    )
    partitions = book(clock, bounds=bounds)
    partitions.open([TP, OTHER])
    record = records(LOW, [b"{}"])[0]
    fetched(partitions, [record._replace(headers=(("h", b"x" * 10_000),))])
    assert partitions.held() == {TP}
    fetched(partitions, [record._replace(partition=1, key=b"k" * 10_000)])
    assert partitions.held() == {TP, OTHER}


def test_records_without_a_value_behind_an_open_one_are_bounded(clock: ManualClock):
    """A million tombstones are settled, and wait for the record before them."""
    bounds = Bounds(
        partition_records_max=1_000,
        partition_bytes_max=1 << 20,
        total_records_max=1_000,
        total_bytes_max=1 << 30,
    )
    partitions = book(clock, bounds=bounds)
    partitions.open([TP])
    batch_of(partitions, 1)
    read = 1
    while not partitions.held() and read < 1_000_000:
        fetched(partitions, records(LOW, [None] * 500, first=read)).settle_all()
        read += 500
    assert (partitions.held(), partitions.owned[TP].watermark.unsettled) == ({TP}, 1)
    assert read * 256 < 1 << 21


def test_bytes_hold_too_but_never_the_critical(clock: ManualClock):
    bounds = Bounds(
        partition_records_max=100, partition_bytes_max=10, total_records_max=1_000, total_bytes_max=10
    )
    partitions = book(clock, bounds=bounds)
    critical = TopicPartition(CRITICAL, 0)
    partitions.open([TP, critical])
    fetched(partitions, records(LOW, [b"x" * 10]))
    assert partitions.held() == {TP}


def test_a_paused_topic_is_held_whatever_its_urgency(clock: ManualClock):
    partitions = book(clock)
    critical = TopicPartition(CRITICAL, 0)
    partitions.open([TP, critical])
    partitions.pause(frozenset({CRITICAL}))
    assert partitions.held() == {critical}
    partitions.pause(frozenset())
    assert partitions.held() == set()


def test_what_the_lanes_have_enough_of_is_held_and_nothing_else(clock: ManualClock):
    partitions = book(clock)
    critical = TopicPartition(CRITICAL, 0)
    partitions.open([TP, critical])
    partitions.crowded = lambda: frozenset({3})
    assert partitions.held() == {TP}
    assert partitions.over_bounds() == {TP}, "told as a bound, and not as a partition that is stuck"
    partitions.crowded = frozenset
    assert partitions.held() == set()


def test_a_live_change_of_the_bounds_is_seen(clock: ManualClock):
    bounds = [BOUNDS]
    partitions = Partitions("test", "group", clock, lambda: bounds[0], TOPICS.urgency_of)
    partitions.open([TP])
    batch_of(partitions, 5)
    assert partitions.held() == set()
    bounds[0] = Bounds(
        partition_records_max=5,
        partition_bytes_max=1 << 20,
        total_records_max=10_000,
        total_bytes_max=1 << 20,
    )
    assert partitions.held() == {TP}


def test_it_says_how_it_stands(owned: Partitions, clock: ManualClock):
    batch = batch_of(owned, 3, first=10)
    owned.reading_of = {TP: Reading(20, 20)}.get
    batch.settle(10)
    clock.advance(1_200)
    assert repr(owned) == "<Partitions of test | 2 owned, 2 unsettled>"
    status = owned.status()
    assert [str(one) for one in status.partitions] == [
        "<Partition content.low/0 | watermark 11, 2 unsettled, oldest 1.2 s>",
        "<Partition content.low/1 | watermark -1, 0 unsettled, oldest 0.0 s>",
    ]
    assert (status.partitions[0].lag, status.settled) == (9, 1)


class BookMachine(RuleBasedStateMachine):
    """Fetches, agents, drains and rebalances in any order, beside a log of what Kafka would hold."""

    TPS = (TP, OTHER, TopicPartition(CRITICAL, 0))

    @initialize()
    def start(self):
        self.book = book(ManualClock())
        self.committed = dict.fromkeys(self.TPS, 0)
        self.settled: dict[TopicPartition, set[int]] = {tp: set() for tp in self.TPS}
        self.settled_now: dict[TopicPartition, set[int]] = {}
        self.waiting: list[Batch] = []
        self.held: list[Batch] = []
        self.stale: list[Batch] = []
        self.assign(self.TPS)

    @rule(tps=st.sets(st.sampled_from(TPS), min_size=1))
    def rebalance(self, tps):
        self.assign(tps)

    def assign(self, tps):
        """What was not committed is fetched again."""
        self.book.open(tps)
        self.book.known_committed({tp: self.committed[tp] for tp in tps})
        self.next = {tp: self.committed[tp] for tp in tps}
        self.settled_now = {tp: set() for tp in tps}
        self.stale += self.waiting + self.held
        self.waiting, self.held = [], []
        self.is_draining = False

    @precondition(lambda self: not self.is_draining)
    @rule(data=st.data(), count=st.integers(1, 5), back=st.integers(0, 3))
    def fetch(self, data, count, back):
        tp = data.draw(st.sampled_from(sorted(self.next)))
        first = max(self.committed[tp], self.next[tp] - back)
        found = records(tp.topic, [b"x"] * count, partition=tp.partition, first=first)
        batch = self.book.fetched(tp, found)
        fresh = [record.offset for record in found if record.offset >= self.next[tp]]
        assert [record.offset for record in batch.records] == fresh if batch else not fresh
        self.next[tp] = max(self.next[tp], first + count)
        self.waiting += [batch] if batch else []

    @precondition(lambda self: self.waiting)
    @rule()
    def take(self):
        batch = self.waiting.pop(0)
        took = batch.take()
        assert took is not self.is_draining
        (self.held if took else self.stale).append(batch)

    @precondition(lambda self: self.held)
    @rule(data=st.data(), whole=st.booleans())
    def settle(self, data, whole):
        batch = data.draw(st.sampled_from(self.held))
        offsets = [record.offset for record in batch.records]
        if whole:
            batch.settle_all()
        else:
            offsets = [data.draw(st.sampled_from(offsets))]
            batch.settle(offsets[0])
        for settled in (self.settled, self.settled_now):
            settled[batch.topic, batch.partition].update(offsets)

    @precondition(lambda self: self.stale)
    @rule(data=st.data())
    def settle_what_is_stale(self, data):
        """Powerless if its partition was given away. What a drain gave up is not touched by its agent."""
        batch = data.draw(st.sampled_from(self.stale))
        if not self.is_draining:
            batch.settle_all()

    @rule()
    def drain(self):
        self.book.begin_drain()
        self.is_draining = True
        assert self.book.waiting == 0

    @rule()
    def commit(self):
        offsets = self.book.committable()
        self.book.committed(offsets, self.book.owned)
        for tp, offset in offsets.items():
            assert offset >= self.committed[tp], "a commit never goes back"
            self.committed[tp] = offset

    @invariant()
    def nothing_is_committed_that_is_not_settled(self):
        for tp, offset in self.committed.items():
            assert set(range(offset)) <= self.settled[tp]

    @invariant()
    def a_drain_waits_for_what_agents_hold_and_nothing_else(self):
        if self.is_draining:
            held = [
                record.offset
                for batch in self.held
                for record in batch.records
                if record.offset not in self.settled_now[batch.topic, batch.partition]
            ]
            assert self.book.awaited == len(held)


BookMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=50, deadline=None)
TestBook = BookMachine.TestCase
