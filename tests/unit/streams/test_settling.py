"""Settling: a record is settled when Kafka has confirmed what became of it, and never before."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stages import TOPICS, FakePublisher, FakeRecord, book, callbacks_ran, fetched, records

from schemas.wire import decode_dead_letter
from streams.clock import ManualClock
from streams.dead_lettering import DeadLetters
from streams.observing import Tally
from streams.partitions import Batch
from streams.ports import Outgoing
from streams.settling import Settling

TOPIC = TOPICS.content("low")


class Stage:
    """A batch of one partition, and everything that settles it."""

    def __init__(self, count: int, **fields: object) -> None:
        clock = ManualClock()
        self.partitions = book(clock)
        self.partitions.open([(TOPIC, 0)])
        batch = [record._replace(**fields) for record in records(TOPIC, [b"%d" % at for at in range(count)])]
        self.batch: Batch = fetched(self.partitions, batch)
        self.publisher = FakePublisher()
        self.tally = Tally()
        self.settling = Settling(self.publisher, DeadLetters("triage", TOPICS, clock), self.tally)
        self.verdicts = [Outgoing(TOPICS.verdicts, 0, None, b"%d" % at) for at in range(count)]

    @property
    def unsettled(self) -> int:
        return self.partitions.awaited

    @property
    def last(self):
        return self.publisher.handed[-1]

    def letters(self):
        """The dead letters of the last publication."""
        assert {one.topic for one in self.last.records} == {TOPICS.dead_letters}
        return [decode_dead_letter(one.value) for one in self.last.records]


async def test_a_batch_is_settled_once_all_of_it_is_confirmed():
    stage = Stage(3)
    stage.settling.settle_batch(stage.batch, stage.verdicts)
    await callbacks_ran()
    assert stage.unsettled == 3
    stage.last.confirm()
    await callbacks_ran()
    assert stage.unsettled == 0
    assert [one.records for one in stage.publisher.handed] == [tuple(stage.verdicts)]


async def test_records_are_settled_one_by_one_in_the_order_of_their_confirmations():
    stage = Stage(3)
    for record, verdict in zip(stage.batch.records, stage.verdicts, strict=True):
        stage.settling.settle_one(stage.batch, record, verdict)
    stage.publisher.handed[2].confirm()
    await callbacks_ran()
    assert stage.partitions.committable() == {(TOPIC, 0): 0}
    stage.publisher.handed[0].confirm()
    await callbacks_ran()
    assert stage.partitions.committable() == {(TOPIC, 0): 1}
    assert stage.unsettled == 1


async def test_what_kafka_refuses_becomes_a_dead_letter_and_only_then_is_the_batch_settled():
    stage = Stage(3, key=b"k", headers=(("h", b"v"),))
    stage.settling.settle_batch(stage.batch, stage.verdicts)
    stage.last.refuse(1)
    await callbacks_ran()
    assert stage.unsettled == 3
    (letter,) = stage.letters()
    assert (letter.code, letter.payload, letter.key) == ("msg_size_too_large", b"1", b"k")
    assert [(header.key, header.value) for header in letter.headers] == [("h", b"v")]
    stage.last.confirm()
    await callbacks_ran()
    assert stage.unsettled == 0
    assert stage.tally.dead_letters == 1


async def test_a_dead_letter_that_is_refused_is_written_bare_and_the_others_not_again():
    stage = Stage(3, key=b"k" * 9, headers=(("h", b"v"),))
    stage.settling.settle_batch(stage.batch, stage.verdicts)
    stage.last.refuse(0, 2)
    await callbacks_ran()
    assert [letter.payload for letter in stage.letters()] == [b"0", b"2"]
    stage.last.refuse(1)
    await callbacks_ran()
    (letter,) = stage.letters()
    assert (letter.source.offset, letter.code) == (2, "msg_size_too_large")
    assert (letter.payload, letter.key, letter.headers) == (None, None, ())
    assert stage.unsettled == 3
    stage.last.confirm()
    await callbacks_ran()
    assert stage.unsettled == 0
    assert stage.tally.errors == 1
    assert stage.tally.dead_letters == 2


async def test_where_even_a_bare_dead_letter_is_refused_nothing_is_settled_and_it_is_told():
    stage = Stage(1)
    stage.settling.settle_batch(stage.batch, stage.verdicts)
    for _ in range(3):
        stage.last.refuse(0)
        await callbacks_ran()
    assert len(stage.publisher.handed) == 3
    assert stage.unsettled == 1
    assert "stands still" in stage.tally.last_error


@pytest.mark.parametrize("refusals", [0, 1, 2])
async def test_a_publication_that_is_cancelled_settles_nothing(refusals):
    """As at the end of a loop: what was under way may be written or not, and is delivered again."""
    stage = Stage(1)
    stage.settling.settle_batch(stage.batch, stage.verdicts)
    for _ in range(refusals):
        stage.last.refuse(0)
        await callbacks_ran()
    stage.last.future.cancel()
    await callbacks_ran()
    assert stage.unsettled == 1


async def test_a_publication_that_fails_in_an_unknown_way_settles_nothing():
    stage = Stage(1)
    told: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    stage.settling.settle_batch(stage.batch, stage.verdicts)
    stage.last.future.set_exception(OSError("unforeseen"))
    await callbacks_ran()
    assert stage.unsettled == 1
    assert [type(context["exception"]) for context in told] == [OSError]


async def test_a_confirmation_after_the_partition_was_given_away_settles_nothing():
    stage = Stage(2)
    stage.settling.settle_batch(stage.batch, stage.verdicts)
    stage.partitions.open([(TOPIC, 0)])
    stage.last.confirm()
    await callbacks_ran()
    assert stage.partitions.counts.settled == 0
    assert stage.partitions.committable() == {}


async def test_room_is_the_publishers():
    stage = Stage(1)
    stage.publisher.has_room.clear()
    waiting = asyncio.ensure_future(stage.settling.room(7, 700))
    await callbacks_ran()
    assert not waiting.done()
    stage.publisher.has_room.set()
    await waiting
    assert stage.publisher.asked_room == [(7, 700)]


fates = st.sampled_from(["confirmed", "refused", "refused twice", "lost"])


@given(st.lists(fates, min_size=1, max_size=8), st.randoms(use_true_random=False))
def test_whatever_becomes_of_publications_a_record_is_settled_exactly_if_something_was_written(fates, random):
    """Each record goes by itself, and its publications end in any order."""

    async def scenario() -> None:
        stage = Stage(len(fates))
        refusals_left = {"confirmed": 0, "refused": 1, "refused twice": 2, "lost": 3}
        left = {}
        for record, verdict in zip(stage.batch.records, stage.verdicts, strict=True):
            assert isinstance(record, FakeRecord)
            stage.settling.settle_one(stage.batch, record, verdict)
            left[stage.last] = refusals_left[fates[record.offset]]
        while left:
            handed = random.choice(list(left))
            refusals = left.pop(handed)
            known = len(stage.publisher.handed)
            handed.refuse(0) if refusals else handed.confirm()
            await callbacks_ran()
            if len(stage.publisher.handed) > known:
                left[stage.last] = refusals - 1
        lost = [at for at, fate in enumerate(fates) if fate == "lost"]
        assert stage.unsettled == len(lost)
        assert stage.partitions.committable() == {(TOPIC, 0): lost[0] if lost else len(fates)}

    asyncio.run(scenario())
