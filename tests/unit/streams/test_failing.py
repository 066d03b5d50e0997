"""A stage that raises: culprits are condemned, others pass, and a broken stage stops the worker instead."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stages import TOPICS, FakeRecord, book, callbacks_ran, fetched, records
from virtual_time import LoopClock, now_ms, reaches, run, virtual

from streams.app import each_batch, each_record
from streams.core.failing import Patience
from streams.failing import Cancelled, CrashLoop, Failing
from streams.partitions import Batch
from streams.ports import Record
from streams.turns import AT_ONCE

TOPIC = TOPICS.content("low")
PATIENCE = Patience(tries_max=4, wait_ms_first=100, wait_ms_max=250, unwitnessed_max=2)


class Bug(Exception):
    pass


class Stage:
    """A stage that notes what it works on, and raises where it is told to."""

    def __init__(self, is_bad: Callable[[Record], bool] = lambda _: False) -> None:
        self.is_bad = is_bad
        self.partitions = book(LoopClock())
        self.partitions.open([(TOPIC, 0)])
        self.condemned: list[int] = []
        self.passed: list[int] = []
        self.tried: Counter[int] = Counter()
        self.stopped: list[Exception] = []
        self.failing = Failing(
            self.partitions, condemn=self.condemn, stop_worker=self.stopped.append, patience=PATIENCE
        )

    def condemn(self, batch: Batch, record: Record, bug: Exception) -> None:
        assert isinstance(bug, (Bug, Cancelled))
        self.condemned.append(record.offset)
        batch.settle(record.offset)

    async def handle(self, batch: Batch) -> None:
        """Raise before anything is handed on, or settle all."""
        for record in batch.records:
            self.look_at(record)
        self.passed += [record.offset for record in batch.records]
        batch.settle_all()

    async def alone(self, record: Record) -> None:
        self.look_at(record)
        self.passed.append(record.offset)

    def look_at(self, record: Record) -> None:
        self.tried[record.offset] += 1
        if self.is_bad(record):
            raise Bug(record.value)

    def batch(self, count: int) -> Batch:
        first = self.partitions.owned[TOPIC, 0].watermark.next_offset or 0
        return fetched(self.partitions, records(TOPIC, [b"x"] * count, first=first))

    @property
    def committable(self) -> int | None:
        return self.partitions.committable().get((TOPIC, 0))  # type: ignore[call-overload]


def offsets(*wanted: int) -> Callable[[Record], bool]:
    return lambda record: record.offset in wanted


@virtual
async def test_of_a_batch_that_fails_the_culprit_alone_is_condemned_and_the_others_pass():
    stage = Stage(offsets(3))
    await stage.failing.handle(stage.batch(6), stage.handle)
    assert (stage.committable, stage.passed) == (0, []), "the batch is not acknowledged"
    await reaches(lambda: not stage.partitions.awaited)
    assert (stage.condemned, sorted(stage.passed), stage.committable) == ([3], [0, 1, 2, 4, 5], 6)
    assert stage.stopped == []
    assert stage.partitions.counts.condemned == 1


@virtual
async def test_one_that_fails_once_is_not_condemned():
    stage = Stage()
    stage.is_bad = lambda record: record.offset == 1 and stage.tried[1] == 1
    await stage.failing.handle(stage.batch(3), stage.handle)
    await reaches(lambda: not stage.partitions.awaited)
    assert (stage.condemned, sorted(stage.passed)) == ([], [0, 1, 2])


@virtual
async def test_what_is_over_soon_costs_nobody_anything():
    """A disk that is full, a policy that was broken for a moment: nobody is condemned for that."""
    stage = Stage()
    ends_ms = now_ms() + 250
    stage.is_bad = lambda _: now_ms() < ends_ms
    await stage.failing.handle(stage.batch(50), stage.handle)
    await reaches(lambda: not stage.partitions.awaited)
    assert (stage.condemned, sorted(stage.passed), stage.stopped) == ([], [*range(50)], [])
    assert stage.partitions.counts.backoffs == 2


@virtual
async def test_a_stage_that_is_broken_for_six_seconds_is_well_again_before_anybody_is_condemned():
    stage = Stage()
    ends_ms = now_ms() + 6_100
    stage.is_bad = lambda _: now_ms() < ends_ms
    stage.failing = Failing(stage.partitions, condemn=stage.condemn, stop_worker=stage.stopped.append)
    await stage.failing.handle(stage.batch(50), stage.handle)
    await reaches(lambda: not stage.partitions.awaited)
    assert (stage.condemned, sorted(stage.passed), stage.stopped) == ([], [*range(50)], [])


@virtual
async def test_a_step_that_stumbles_for_a_moment_condemns_nobody_though_others_pass():
    """A third of all tries fail for 300 ms: what the step leans on was busy, say, and is well again."""
    stage = Stage()
    chance, ends_ms = Random(1), now_ms() + 300
    stage.is_bad = lambda _: now_ms() < ends_ms and chance.random() < 1 / 3
    stage.failing = Failing(
        stage.partitions, condemn=stage.condemn, stop_worker=stage.stopped.append, patience=Patience()
    )

    def work(batch: Batch, record: Record) -> None:
        stage.look_at(record)
        stage.passed.append(record.offset)
        stage.failing.passed("step")
        batch.settle(record.offset)

    for _ in range(50):
        batch = stage.batch(20)
        for record in batch.records:
            stage.failing.attempt("step", batch, record, work, batch, record)
        await asyncio.sleep(0.01)
    assert stage.partitions.counts.failures > 100
    await reaches(lambda: not stage.partitions.awaited)
    assert (stage.condemned, stage.stopped, stage.committable) == ([], [], 1_000)


@virtual
async def test_a_stage_that_is_broken_for_one_kind_of_records_stops_the_worker_and_condemns_none_of_them():
    stage = Stage(lambda record: record.offset % 2 == 0)
    await stage.failing.handle(stage.batch(200), stage.handle)
    await reaches(lambda: stage.stopped)
    assert len(stage.passed) == 100
    assert (stage.condemned, stage.committable) == ([], 0)
    assert str(stage.stopped[0]) == (
        "test failed at 100 records, 4 times in a row, though others pass; "
        "0 became dead letters within a minute, and no more may: Bug"
    )


@virtual
async def test_bad_records_among_good_ones_are_condemned_up_to_a_number_in_a_minute():
    stage = Stage(lambda record: record.offset % 5 == 0)
    stage.failing = Failing(
        stage.partitions,
        condemn=stage.condemn,
        stop_worker=stage.stopped.append,
        patience=replace(PATIENCE, condemned_max=6),
    )

    async def batches(count: int, every_s: float) -> None:
        for _ in range(count):
            await stage.failing.handle(stage.batch(5), stage.handle)
            await asyncio.sleep(every_s)

    await batches(20, every_s=12)
    assert (len(stage.condemned), stage.stopped, stage.committable) == (20, [], 100)
    took_ms = stage.tried[0], stage.tried[95]
    assert took_ms == (PATIENCE.tries_of_few, PATIENCE.tries_max), "more than three in a minute get all tries"
    await batches(10, every_s=2)
    await reaches(lambda: stage.stopped)
    assert len(stage.condemned) < 26


@virtual
async def test_a_stage_that_fails_at_everything_backs_off_and_stops_the_worker_with_nothing_settled():
    stage = Stage(lambda _: True)
    began_ms = now_ms()
    await stage.failing.handle(stage.batch(10), stage.handle)
    await reaches(lambda: stage.stopped)
    (reason,) = stage.stopped
    assert isinstance(reason, CrashLoop)
    assert str(reason) == "test failed at all of 10 records, 4 times in a row: Bug"
    # One batch, then each by itself: at once, and after 100 and 200 ms.
    assert now_ms() - began_ms == pytest.approx(300, abs=2)
    assert (stage.condemned, stage.passed, stage.committable) == ([], [], 0)
    assert stage.partitions.awaited == 0, "no drain waits for them"
    assert stage.partitions.counts.failures == 40


@virtual
async def test_a_record_that_comes_alone_is_condemned_after_all_its_tries():
    stage = Stage(offsets(0))
    await stage.failing.handle(stage.batch(1), stage.handle)
    await reaches(lambda: stage.condemned)
    assert (stage.tried[0], stage.stopped, stage.committable) == (4, [], 1)


@virtual
async def test_but_not_one_after_the_other_without_one_that_passes():
    stage = Stage(lambda record: record.offset != 2)
    for _ in range(5):
        await stage.failing.handle(stage.batch(1), stage.handle)
        await reaches(lambda: not stage.partitions.awaited)
    assert (stage.condemned, stage.stopped) == ([0, 1, 3, 4], []), "the third has passed"
    await stage.failing.handle(stage.batch(1), stage.handle)
    await reaches(lambda: stage.stopped)
    assert (stage.condemned, stage.committable) == ([0, 1, 3, 4], 5)


@virtual
async def test_one_that_stumbles_while_another_is_in_a_pause_waits_for_its_own():
    stage = Stage()
    patient = [stage.batch(1) for _ in range(2)]
    stage.is_bad = lambda record: record.offset == 0 or stage.tried[1] == 1
    await stage.failing.handle(patient[0], stage.handle)
    await reaches(lambda: stage.tried[0] == 3)
    began_ms = now_ms()
    await stage.failing.handle(patient[1], stage.handle)
    await reaches(lambda: stage.passed)
    assert now_ms() - began_ms == pytest.approx(0, abs=2), "the pause of the other is 200 ms"


@virtual
async def test_the_most_urgent_are_tried_first_also_those_who_come_last():
    stage = Stage()
    order: list[str] = []
    urgent = TOPICS.content("critical")
    stage.partitions.open([(TOPIC, 0), (urgent, 0)])
    low, critical = stage.batch(3), fetched(stage.partitions, records(urgent, [b"x"]))

    async def handle(part: Batch) -> None:
        order.append(part.topic)
        if len(order) == 1:
            raise Bug
        if len(order) == 2:
            # In the middle of a round.
            await stage.failing.handle(critical, handle_once)
        part.settle_all()

    async def handle_once(part: Batch) -> None:
        stage.look_at(part.records[0])
        order.append(part.topic)
        part.settle_all()

    stage.is_bad = lambda record: record.topic == urgent and stage.tried[0] == 1
    await stage.failing.handle(low, handle)
    await reaches(lambda: not stage.partitions.awaited)
    assert order == [TOPIC, TOPIC, urgent, TOPIC, TOPIC]


@virtual
async def test_a_broken_stage_condemns_nobody_though_its_records_come_one_after_the_other():
    stage = Stage(lambda _: True)
    for _ in range(10):
        await stage.failing.handle(stage.batch(1), stage.handle)
        await asyncio.sleep(0.05)
    await reaches(lambda: stage.stopped)
    assert (type(stage.stopped[0]), stage.condemned) == (CrashLoop, [])


@virtual
async def test_nor_does_one_that_is_broken_for_one_kind_of_records():
    stage = Stage(lambda record: record.offset % 2 == 0)
    for _ in range(200):
        await stage.failing.handle(stage.batch(1), stage.handle)
        await asyncio.sleep(0.001)
    await reaches(lambda: stage.stopped)
    assert "though others pass" in str(stage.stopped[0])
    assert len(stage.condemned) <= PATIENCE.few_max


@virtual
async def test_batches_that_pass_meanwhile_are_evidence_and_are_not_held_up():
    stage = Stage(offsets(0))
    await stage.failing.handle(stage.batch(1), stage.handle)
    await callbacks_ran()
    await stage.failing.handle(stage.batch(5), stage.handle)
    assert stage.passed == [1, 2, 3, 4, 5]
    await reaches(lambda: stage.condemned)
    assert (stage.tried[0], stage.committable) == (3, 6)


@virtual
async def test_what_one_step_does_well_is_no_evidence_for_another():
    stage = Stage()
    batch = stage.batch(10)

    def fail() -> None:
        raise Bug

    for record in batch.records:
        stage.failing.attempt("asking", batch, record, stage.failing.passed, "asking")
        stage.failing.attempt("answer", batch, record, fail)
    await reaches(lambda: stage.stopped)
    assert stage.condemned == []


@virtual
async def test_a_drain_in_the_middle_of_a_pause_gives_up_at_once_and_tries_no_more():
    stage = Stage(lambda _: True)
    await stage.failing.handle(stage.batch(5), stage.handle)
    await reaches(lambda: stage.tried[0] == 2)
    before = stage.tried.total()
    stage.partitions.begin_drain()
    assert stage.partitions.awaited == 0
    await asyncio.sleep(60)
    assert (stage.tried.total(), stage.condemned, stage.stopped, stage.committable) == (before, [], [], 0)


@virtual
async def test_a_drain_gives_up_thousands_in_turns():
    stage = Stage(lambda _: True)
    await stage.failing.handle(stage.batch(5_000), stage.handle)
    stage.partitions.begin_drain()
    awaited = [5_000, stage.partitions.awaited]
    while stage.partitions.awaited:
        await asyncio.sleep(0)
        awaited.append(stage.partitions.awaited)
    assert max(before - after for before, after in pairwise(awaited)) <= AT_ONCE


@virtual
async def test_one_that_is_being_tried_when_a_drain_begins_is_waited_for():
    stage = Stage()
    gate = asyncio.Event()

    async def handle(part: Batch) -> None:
        stage.look_at(part.records[0])
        await gate.wait()
        part.settle_all()

    stage.is_bad = lambda record: stage.tried[record.offset] == 1
    await stage.failing.handle(stage.batch(2), handle)
    await reaches(lambda: stage.tried[0] == 2)
    stage.partitions.begin_drain()
    assert stage.partitions.awaited == 1
    gate.set()
    await reaches(lambda: not stage.partitions.awaited)
    assert stage.committable == 1


@virtual
async def test_one_that_fails_again_during_a_drain_is_given_up():
    stage = Stage()
    gate = asyncio.Event()

    async def handle(part: Batch) -> None:
        if stage.tried.total():
            await gate.wait()
        stage.tried[0] += 1
        raise Bug

    await stage.failing.handle(stage.batch(1), handle)
    await callbacks_ran()
    stage.partitions.begin_drain()
    assert stage.partitions.awaited == 1
    gate.set()
    await reaches(lambda: not stage.partitions.awaited)
    assert (stage.condemned, stage.committable) == ([], 0)


@virtual
async def test_a_bug_of_who_condemns_stops_the_worker_and_loses_nothing():
    stage = Stage(offsets(0))

    def condemn(*_: object) -> None:
        raise KeyError

    stage.failing = Failing(
        stage.partitions, condemn=condemn, stop_worker=stage.stopped.append, patience=PATIENCE
    )
    await stage.failing.handle(stage.batch(2), stage.handle)
    await reaches(lambda: stage.stopped)
    assert (type(stage.stopped[0]), stage.committable) == (KeyError, 0)


async def cancelled_within() -> None:
    """Await what somebody cancels, as a handler does with tasks of its own."""
    own = asyncio.ensure_future(asyncio.sleep(9))
    own.cancel()
    await own


@virtual
async def test_a_handler_in_which_something_was_cancelled_has_failed_like_any_other():
    stage = Stage()

    async def handle(record: Record) -> None:
        stage.tried[record.offset] += 1
        if record.offset == 1:
            await cancelled_within()
        stage.passed.append(record.offset)

    await each_record(Stream([untaken(stage, 4)]), handle, stage.failing)
    await reaches(lambda: not stage.partitions.awaited)
    assert (sorted(stage.passed), stage.condemned, stage.committable) == ([0, 2, 3], [1], 4)


@virtual
async def test_one_in_which_something_is_cancelled_as_it_is_tried_again_does_not_end_the_trying():
    stage = Stage()

    async def handle(part: Batch) -> None:
        stage.tried[part.records[0].offset] += 1
        match stage.tried.total():
            case 1:
                raise Bug
            case 2:
                await cancelled_within()
        part.settle_all()

    await stage.failing.handle(stage.batch(5), handle)
    await reaches(lambda: not stage.partitions.awaited)
    assert (stage.committable, stage.condemned, stage.stopped) == (5, [], [])


@virtual
async def test_what_is_asked_of_something_that_was_cancelled_is_tried_again_too():
    stage = Stage()
    batch = stage.batch(1)
    answer = asyncio.get_running_loop().create_future()
    answer.cancel()

    def conclude() -> None:
        stage.look_at(batch.records[0])
        if stage.tried.total() == 1:
            answer.result()
        batch.settle_all()

    stage.failing.attempt("answer", batch, batch.records[0], conclude)
    await reaches(lambda: not stage.partitions.awaited)
    assert (stage.committable, stage.condemned) == (1, [])


@virtual
async def test_an_agent_that_is_stopped_in_the_middle_ends_and_nothing_is_tried_again():
    stage = Stage()
    begun = asyncio.Event()

    async def handle(record: Record) -> None:
        stage.look_at(record)
        begun.set()
        await asyncio.sleep(9)

    agent = asyncio.ensure_future(each_record(Stream([untaken(stage, 2)]), handle, stage.failing))
    await begun.wait()
    agent.cancel()
    with pytest.raises(asyncio.CancelledError):
        await agent
    await asyncio.sleep(60)
    assert (stage.tried.total(), stage.committable, stage.partitions.counts.failures) == (1, 0, 0)


@virtual
async def test_trying_again_that_somebody_ends_begins_anew_and_forgets_nobody():
    stage = Stage()
    trying: list[asyncio.Task[None] | None] = []

    async def handle(part: Batch) -> None:
        stage.look_at(part.records[0])
        match stage.tried.total():
            case 1:
                raise Bug
            case 2:
                trying.append(asyncio.current_task())
                await asyncio.sleep(9)
        part.settle_all()

    await stage.failing.handle(stage.batch(3), handle)
    await reaches(lambda: trying)
    (task,) = trying
    assert task is not None
    task.cancel()
    await reaches(lambda: not stage.partitions.awaited)
    assert (stage.committable, stage.condemned) == (3, [])


@virtual
async def test_one_that_fails_in_the_moment_in_which_the_last_one_passes_is_tried_again_too():
    stage = Stage()
    batch = stage.batch(2)
    first, second = batch.records

    def works_the_second_time() -> None:
        if stage.tried.total() < 2:
            stage.look_at(first)
            raise Bug
        batch.settle_all()

    def second_fails_meanwhile(*_: object) -> None:
        stage.look_at(first)
        asyncio.get_running_loop().call_soon(
            stage.failing.attempt, "step", batch, second, works_the_second_time
        )

    def fail() -> None:
        raise Bug

    stage.failing.attempt("step", batch, first, fail, again=second_fails_meanwhile)
    await reaches(lambda: not stage.partitions.awaited)
    assert stage.condemned == []


# -- any set of culprits -----------------------------------------------------------------------------------


@given(
    sizes=st.lists(st.integers(1, 8), min_size=1, max_size=8),
    bad=st.sets(st.integers(0, 63)),
    by_record=st.booleans(),
)
def test_every_record_ends_once_and_only_culprits_are_condemned(sizes, bad, by_record):
    async def scenario() -> None:
        stage = Stage(lambda record: record.offset in bad)
        batches = [stage.batch(size) for size in sizes]
        total = sum(sizes)
        for batch in batches:
            if by_record:
                for record in batch.records:
                    part = batch.part((record,))
                    await stage.failing.handle(part, stage.handle)
            else:
                await stage.failing.handle(batch, stage.handle)
        await reaches(lambda: stage.stopped or not stage.partitions.awaited)
        culprits = bad & set(range(total))
        assert set(stage.condemned) <= culprits
        assert set(stage.passed) <= set(range(total)) - culprits
        ends = [*stage.passed, *stage.condemned]
        assert len(ends) == len(set(ends)), "each ends once"
        if stage.stopped:
            assert len(culprits) > PATIENCE.unwitnessed_max
            assert not stage.condemned or set(stage.passed)
        else:
            assert sorted(ends) == [*range(total)]
            assert stage.committable == total
        if len(culprits) == total > PATIENCE.unwitnessed_max:
            assert (len(stage.stopped), stage.condemned, stage.partitions.counts.settled) == (1, [], 0)
        elif total - len(culprits) > 0 and not stage.stopped:
            assert set(stage.condemned) == culprits

    run(scenario())


# -- the two views of an agent -----------------------------------------------------------------------------


class Stream:
    """What Faust hands an agent."""

    def __init__(self, batches: Sequence[Batch]) -> None:
        self._batches = batches

    async def noack(self) -> AsyncIterator[Batch]:
        for batch in self._batches:
            yield batch


def untaken(stage: Stage, count: int) -> Batch:
    first = stage.partitions.owned[TOPIC, 0].watermark.next_offset or 0
    found: list[FakeRecord] = records(TOPIC, [b"x"] * count, first=first)
    batch = stage.partitions.fetched((TOPIC, 0), found)
    assert batch is not None
    return batch


@virtual
async def test_a_per_record_agent_is_handed_one_at_a_time_and_each_is_settled_when_it_returns():
    stage = Stage(offsets(1))
    settled: list[int] = []

    async def handle(record: Record) -> None:
        settled.append(stage.partitions.counts.settled)
        await asyncio.sleep(0.001)
        await stage.alone(record)

    await each_record(Stream([untaken(stage, 3), untaken(stage, 2)]), handle, stage.failing)
    await reaches(lambda: not stage.partitions.awaited)
    assert (sorted(stage.passed), stage.condemned, stage.committable) == ([0, 2, 3, 4], [1], 5)
    assert settled[:3] == [0, 1, 1]


@virtual
async def test_a_per_record_agent_begins_nothing_more_when_a_drain_has_begun():
    stage = Stage()

    async def handle(record: Record) -> None:
        await stage.alone(record)
        if record.offset == 1:
            stage.partitions.begin_drain()

    await each_record(Stream([untaken(stage, 5)]), handle, stage.failing)
    assert (stage.passed, stage.committable, stage.partitions.awaited) == ([0, 1], 2, 0)


@virtual
async def test_a_batch_that_was_given_up_while_it_waited_is_not_begun():
    stage = Stage()
    batch = untaken(stage, 5)
    stage.partitions.begin_drain()
    await each_batch(Stream([batch]), stage.handle, stage.failing)
    await each_record(Stream([batch]), stage.alone, stage.failing)
    assert stage.tried == {}
