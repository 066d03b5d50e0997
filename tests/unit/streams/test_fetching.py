"""What the group's coordinator complains of is heard at the next fetch, whether anybody waits or not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.consumer.fetcher import FetchResult
from aiokafka.consumer.subscription_state import SubscriptionState
from aiokafka.errors import (
    CorruptRecordException,
    GroupAuthorizationFailedError,
    IncompatibleBrokerVersion,
    KafkaConnectionError,
    KafkaError,
    OffsetOutOfRangeError,
)
from buffered import fetch_result
from deadline import eventually
from faust.types import TP
from stages import TOPICS, book

from streams.app import stage_app
from streams.clock import ManualClock
from streams.connecting import PatientConsumer
from streams.fetching import BatchConsumerThread, Taken, TransportOptions
from streams.partitions import Reading, TopicPartition
from streams.rescuing import Rescuer
from streams.transport import BatchConsumer
from streams.unpacking import FetchedRecord

LOW = TP(TOPICS.content("low"), 0)
FOUND = {LOW: Taken(4, [FetchedRecord(LOW.topic, 0, 6, 0, b"k", b"x", [])], 7)}  # type: ignore[arg-type]


def buffered(*, begins_at: int = 4, offset: int = 6, records: int = 1) -> FetchResult:
    """Give what a fetch from one position on brought; its first record may stand further on."""
    return fetch_result(LOW, [(b"k", b"x", ())] * records, begins_at=begins_at, offset=offset)


class FakeAiokafka:
    """A consumer of aiokafka's with one buffered partition; it is its own fetcher, coordinator and state."""

    check_background = PatientConsumer.check_background

    def __init__(self) -> None:
        self._fetcher = self._coordinator = self._subscriptions = self._client = self
        self.error_future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sync_task: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._closed = False
        self._records: dict[TP, FetchResult] = {LOW: buffered()}
        self.generation = 1
        self.lost: set[TP] = set()
        """What a rebalance takes away while somebody asks."""
        self.waiters: list[asyncio.Future[None]] = []
        self.complaints: list[KafkaError] = []
        self.refusals: list[KafkaError] = []
        """What asking for a partition meets."""

    def fetch_context(self) -> Any:
        return nullcontext()

    async def fetched_records(self, tps: set[TP], max_records: int, **_: Any) -> dict[TP, list[Any]]:
        for tp in self.lost:
            self._records.pop(tp, None)
        if self.refusals:
            raise self.refusals.pop()
        found = {tp: self._records.pop(tp).getall(max_records) for tp in tps if tp in self._records}
        return {tp: records for tp, records in found.items() if records}

    def _create_fetch_waiter(self) -> asyncio.Future[None]:
        self.waiters.append(asyncio.get_running_loop().create_future())
        return self.waiters[-1]

    def complain(self, error: KafkaError) -> None:
        self.complaints.append(error)
        for waiter in self.waiters:
            if not waiter.done():
                waiter.set_exception(error)

    def check_errors(self) -> None:
        if self.complaints:
            raise self.complaints.pop()


@pytest.fixture
async def thread(tmp_path: Path) -> AsyncIterator[BatchConsumerThread]:
    options = TransportOptions(
        partitions=book(ManualClock()),
        consumer_options={},
        rescuer=Rescuer({}),
        batch_records_max=500,
        drain_timeout_ms=1_000,
    )
    app = stage_app(group="group", options=options, datadir=tmp_path, instance=None, commit_interval_ms=500)

    async def nothing(*_: Any) -> None:
        """Faust's app would answer here."""

    consumer = BatchConsumer(
        app.transport, callback=nothing, on_partitions_revoked=nothing, on_partitions_assigned=nothing
    )
    consumer.resume_flow()
    yield consumer._thread  # noqa: SLF001
    consumer._thread.thread_loop.close()  # noqa: SLF001


async def test_how_far_a_partition_was_read_is_aiokafkas_own_position(thread: BatchConsumerThread):
    low = TopicPartition(*LOW)
    assert thread.reading_of(low) is None, "there is no consumer yet"
    subscriptions = SubscriptionState()
    thread._consumer = SimpleNamespace(_subscription=subscriptions)  # noqa: SLF001
    assert thread.reading_of(low) is None, "it asks for nothing"
    subscriptions.subscribe({LOW.topic})
    assert thread.reading_of(low) is None, "it was given nothing"
    subscriptions.assign_from_subscribed([low])
    assert thread.reading_of(low) is None, "it was told nothing"
    assert thread.reading_of(TopicPartition("another", 0)) is None
    state = subscriptions.subscription.assignment.state_value(low)
    state.highwater = 9
    assert thread.reading_of(low) is None, "its place is not known"
    state.reset_to(4)
    assert thread.reading_of(low) == Reading(4, 9)


async def fetch(thread: BatchConsumerThread, kafka: FakeAiokafka, timeout_s: float = 5.0) -> Any:
    return await thread._fetch(kafka, {LOW}, timeout_s)  # noqa: SLF001


async def test_a_broker_that_went_away_in_the_middle_is_asked_again(thread: BatchConsumerThread):
    kafka = FakeAiokafka()
    kafka.complain(IncompatibleBrokerVersion("unknown"))
    assert await fetch(thread, kafka) == FOUND
    assert kafka.complaints == []


async def test_a_right_that_is_missing_ends_the_fetch(thread: BatchConsumerThread):
    kafka = FakeAiokafka()
    kafka.complain(GroupAuthorizationFailedError("group"))
    with pytest.raises(GroupAuthorizationFailedError):
        await fetch(thread, kafka)


async def test_a_complaint_wakes_who_waits_and_is_told_at_the_next_fetch(thread: BatchConsumerThread):
    kafka = FakeAiokafka()
    kafka._records.clear()  # noqa: SLF001
    waiting = asyncio.ensure_future(fetch(thread, kafka))
    await eventually(lambda: kafka.waiters, within_s=5)
    kafka.complain(GroupAuthorizationFailedError("group"))
    assert await waiting == {}
    with pytest.raises(GroupAuthorizationFailedError):
        await fetch(thread, kafka)


@pytest.mark.parametrize("task", ["error_future", "_sync_task"])
async def test_what_has_ended_in_the_background_ends_the_fetch(thread: BatchConsumerThread, task: str):
    kafka = FakeAiokafka()
    getattr(kafka, task).set_exception(KafkaError("unexpected"))
    with pytest.raises(KafkaError, match="unexpected"):
        await fetch(thread, kafka)


async def test_a_partition_that_goes_while_another_is_asked_for_is_passed_over(thread: BatchConsumerThread):
    kafka, other = FakeAiokafka(), TP(LOW.topic, 1)
    kafka._records[other] = buffered()  # noqa: SLF001
    kafka.lost = {other}
    found = await thread._fetch(kafka, {LOW, other}, 1.0)  # noqa: SLF001
    assert found == FOUND


async def test_a_commit_without_an_answer_takes_less_of_a_drain(
    thread: BatchConsumerThread, monkeypatch: pytest.MonkeyPatch
):
    async def never(_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr("streams.fetching._COMMIT_S", 60.0)
    monkeypatch.setattr("streams.fetching.LAST_COMMIT_S", 0.01)
    monkeypatch.setattr(thread, "assignment", lambda: {LOW})
    monkeypatch.setattr(thread, "_consumer", SimpleNamespace(is_member=True, commit=never))
    thread.consumer.partitions.begin_drain()
    async with asyncio.timeout(10):
        assert not await thread._commit({LOW: 1})  # noqa: SLF001


async def test_what_was_read_over_without_a_record_is_told_as_well(thread: BatchConsumerThread):
    kafka = FakeAiokafka()
    kafka._records[LOW] = buffered(begins_at=7, offset=6)  # noqa: SLF001
    assert await fetch(thread, kafka, 0.01) == {}, "it is behind us, and moves nothing"
    kafka._records[LOW] = buffered(begins_at=5, offset=7, records=2)  # noqa: SLF001
    [taken] = (await fetch(thread, kafka)).values()
    assert (taken.began, [record.offset for record in taken.records], taken.ended) == (5, [7, 8], 9)


async def test_what_aiokafka_finds_damaged_is_told_and_is_its_own_partitions_trouble(
    thread: BatchConsumerThread,
):
    kafka = FakeAiokafka()
    kafka.refusals = [CorruptRecordException("Invalid CRC")]
    assert await fetch(thread, kafka, 0.01) == {}
    assert thread.troubled == {LOW: "unreadable"}


async def test_a_position_that_the_broker_does_not_have_is_told(thread: BatchConsumerThread):
    kafka = FakeAiokafka()
    kafka.refusals = [OffsetOutOfRangeError({LOW: 4})]
    assert await fetch(thread, kafka, 0.01) == {}
    assert thread.troubled == {LOW: "placeless"}


async def test_a_request_that_aiokafka_cancels_is_a_failure_and_no_end_of_ours(thread: BatchConsumerThread):
    async def cancelled() -> None:
        raise asyncio.CancelledError

    running = asyncio.get_running_loop().run_in_executor(None, thread.thread_loop.run_forever)
    try:
        with pytest.raises(KafkaConnectionError):
            await thread.aside(cancelled)
        asking = asyncio.ensure_future(thread.aside(asyncio.Event().wait))
        await asyncio.sleep(0)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        # What was cancelled there has its turn before the loop is stopped.
        await thread.aside(asyncio.sleep, 0)
    finally:
        thread.thread_loop.call_soon_threadsafe(thread.thread_loop.stop)
        await running
