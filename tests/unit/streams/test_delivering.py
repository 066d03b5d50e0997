"""What a fetch brought, on its way to the agents: its generation, and what is kept of a paused topic."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import (
    GroupLoadInProgressError,
    KafkaError,
    KafkaTimeoutError,
    TopicAuthorizationFailedError,
)
from faust.types import TP
from stages import TOPICS, book, records

from streams.app import stage_app
from streams.clock import ManualClock
from streams.continuity import PositionLost
from streams.fetching import Taken, TransportOptions, Trouble
from streams.partitions import Reading, TopicPartition
from streams.transport import BatchConsumer

LOW, HIGH = TP(TOPICS.content("low"), 0), TP(TOPICS.content("high"), 0)


class Silent:
    """A rescuer, as other clients would see it: it finds what the test says, or nobody answers."""

    def __init__(self) -> None:
        self.found: list[Any] = []
        self.may_answer = threading.Event()
        self.may_answer.set()

    def read(self, _topic: str, _partition: int, _offset: int | None, _count: int) -> list[Any]:
        assert self.may_answer.wait(10)
        return self.found


class FakeThread:
    """Asks brokers that hold the first hundred offsets, or as the test says."""

    def __init__(self) -> None:
        self.troubled: dict[TopicPartition, Trouble] = {}
        self.looked: list[int] = []
        self.fetched_in = 1
        self.asked = 0
        self.brings: dict[TP, Taken] = {}
        self.held: tuple[int, int] | KafkaError = (0, 100)
        self.reading = Reading(4, 9)

    async def getmany(self, _active: set[TP], _timeout: float) -> dict[TP, Taken]:
        self.asked += 1
        return self.brings

    async def aside(self, work: Any, *args: Any) -> Any:
        return await work(*args)

    async def seek_to(self, _tp: Any, offset: int) -> None:
        self.looked.append(offset)

    async def range_of(self, _tp: Any) -> tuple[int, int]:
        if isinstance(self.held, KafkaError):
            raise self.held
        return self.held

    def reading_of(self, _tp: TopicPartition) -> Reading:
        return self.reading


class Group:
    """A consumer that is connected to nobody, in its first generation."""

    def __init__(self, directory: Path) -> None:
        self.partitions = book(ManualClock())
        self.rescuer = Silent()
        options = TransportOptions(
            partitions=self.partitions,
            consumer_options={},
            rescuer=self.rescuer,
            batch_records_max=500,
            drain_timeout_ms=1_000,
        )
        self.app = stage_app(
            group="group", options=options, datadir=directory, instance=None, commit_interval_ms=500
        )
        self.handed: list[Any] = []
        self.consumer = BatchConsumer(
            self.app.transport,
            callback=self._hand,
            on_partitions_revoked=self._nothing,
            on_partitions_assigned=self._nothing,
        )
        self.real_thread = self.consumer._thread  # noqa: SLF001
        self.continuity = self.consumer._continuity  # noqa: SLF001
        self.thread = self.consumer._thread = self.continuity.thread = FakeThread()  # noqa: SLF001
        self.during_next: Any = None
        self.assign(1)

    def assign(self, generation: int) -> None:
        self.app.consumer_generation_id = generation
        self.partitions.open([LOW, HIGH])

    async def _hand(self, message: Any) -> None:
        self.handed.append(message.value)
        if self.during_next:
            self.during_next()

    async def _nothing(self, *_: Any) -> None:
        """Faust's app would answer here."""

    async def deliver(self, **found: list[Any]) -> None:
        """Deliver what was read from its first record on."""
        tps = {"low": LOW, "high": HIGH}
        taken = {
            tps[name]: Taken(batch[0].offset, batch, batch[-1].offset + 1) for name, batch in found.items()
        }
        await self.consumer._deliver(taken)  # noqa: SLF001

    def released(self) -> dict[TP, list[Any]]:
        return {tp: list(taken.records) for tp, taken in self.consumer._released().items()}  # noqa: SLF001

    async def mend(self, trouble: Trouble, *tps: TP) -> dict[TP, list[Any]]:
        """Have these partitions looked after; what was read of them."""
        self.thread.troubled = {TopicPartition(*tp): trouble for tp in tps}
        self.continuity.mend()
        await self.all_looked_after()
        return {TP(*tp): list(taken.records) for tp, taken in self.continuity.mended().items()}

    async def all_looked_after(self) -> None:
        """Whatever has come of it."""
        await asyncio.wait(self.continuity._mending.values(), timeout=10)  # noqa: SLF001

    async def rebalance(self, generation: int) -> None:
        await self.consumer.wait_empty()
        self.app.consumer_generation_id = generation
        await self.consumer.on_partitions_assigned({LOW, HIGH}, generation)


def of(tp: TP, count: int, *, first: int = 0) -> list[Any]:
    return records(tp.topic, [b"x"] * count, first=first)


@pytest.fixture
async def group(tmp_path: Path) -> AsyncIterator[Group]:
    made = Group(tmp_path)
    yield made
    # Its thread was never started, but has its loop.
    made.real_thread.thread_loop.close()


async def test_what_came_of_a_topic_while_it_was_being_paused_is_delivered_when_it_is_resumed(group: Group):
    group.partitions.pause(frozenset({LOW.topic}))
    await group.deliver(low=of(LOW, 2), high=of(HIGH, 1))
    await group.deliver(low=of(LOW, 1, first=2))
    assert ([batch.topic for batch in group.handed], group.released()) == ([HIGH.topic], {})
    group.partitions.pause(frozenset())
    assert group.released() == {LOW: of(LOW, 3)}
    assert group.released() == {}


async def test_what_was_kept_is_forgotten_when_the_partition_is_given_away(group: Group):
    group.partitions.pause(frozenset({LOW.topic}))
    await group.deliver(low=of(LOW, 2))
    await group.consumer.wait_empty()
    group.partitions.pause(frozenset())
    assert group.released() == {}


@pytest.mark.parametrize("is_paused", [True, False])
async def test_what_a_former_generation_fetched_is_neither_kept_nor_delivered(group: Group, is_paused: bool):
    """The group is cut anew while the first of two partitions is handed over."""
    group.partitions.pause(frozenset({LOW.topic} if is_paused else ()))
    group.during_next = lambda: group.assign(2)
    await group.deliver(high=of(HIGH, 1), low=of(LOW, 2, first=40))
    group.partitions.pause(frozenset())
    assert ([batch.topic for batch in group.handed], group.released()) == ([HIGH.topic], {})
    assert group.partitions.owned[TopicPartition(*LOW)].watermark.next_offset is None


async def test_nothing_is_kept_once_the_flow_is_stopped(group: Group):
    group.partitions.pause(frozenset({LOW.topic}))
    group.during_next = group.consumer.stop_flow
    await group.deliver(high=of(HIGH, 1), low=of(LOW, 2))
    group.partitions.pause(frozenset())
    assert group.released() == {}


async def test_a_commit_of_the_very_first_offset_is_a_position(group: Group, monkeypatch: pytest.MonkeyPatch):
    """Faust takes 0 for "none"; then records that are deleted before they were judged would not be missed."""

    async def committed(_: Any) -> dict[TP, int | None]:
        return {LOW: 0, HIGH: None}

    monkeypatch.setattr(BatchConsumer.__mro__[1], "seek_to_committed", committed)
    await group.consumer.perform_seek()
    expected = {tp.topic: owned.expected for tp, owned in group.partitions.owned.items()}
    assert expected == {LOW.topic: 0, HIGH.topic: None}


# -- what is tried again and again -------------------------------------------------------------------------


async def test_what_went_astray_is_fetched_again_and_told_once_where_that_does_not_help(
    group: Group, caplog: pytest.LogCaptureFixture
):
    await group.deliver(low=of(LOW, 1))
    for _ in range(4):
        await group.deliver(low=of(LOW, 1, first=2))
    assert (len(group.handed), group.thread.looked) == (1, [1] * 4)
    assert complaints(caplog) == ["content.low/0 at 1: records were skipped once more; looking again"]
    await group.deliver(low=of(LOW, 5, first=1))
    assert [len(batch.records) for batch in group.handed] == [1, 5]


async def test_what_went_astray_once_is_not_told(group: Group, caplog: pytest.LogCaptureFixture):
    await group.deliver(low=of(LOW, 1))
    await group.deliver(low=of(LOW, 1, first=5))
    await group.deliver(low=of(LOW, 5, first=1))
    assert (len(group.handed), complaints(caplog)) == (2, [])


async def test_offsets_that_a_read_went_over_are_a_hole_in_the_log_and_nobody_is_asked(group: Group):
    await group.deliver(low=of(LOW, 1))
    await group.consumer._deliver({LOW: Taken(1, of(LOW, 1, first=5), 6)})  # noqa: SLF001
    assert (len(group.handed), group.thread.looked) == (2, [])


async def test_markers_that_were_read_over_are_committed_and_missed_by_nobody(group: Group):
    """When retention has taken them and all before them, a commit that stood before them would be a loss."""
    await group.deliver(low=of(LOW, 2))
    await group.consumer._deliver({LOW: Taken(2, (), 4)})  # noqa: SLF001
    assert group.partitions.committable() == {LOW: 0}, "what is unsettled holds it"
    group.handed[0].settle_all()
    assert group.partitions.committable() == {LOW: 4}
    await group.consumer._deliver({LOW: Taken(4, of(LOW, 1, first=4), 6)})  # noqa: SLF001
    group.handed[1].settle_all()
    assert (group.partitions.committable(), group.thread.looked) == ({LOW: 6}, [])


async def test_what_a_drain_refuses_is_not_read_over(group: Group):
    await group.deliver(low=of(LOW, 2))
    group.handed[0].take()
    group.handed[0].settle_all()
    group.partitions.begin_drain()
    await group.consumer._deliver({LOW: Taken(2, of(LOW, 3, first=2), 6)})  # noqa: SLF001
    await group.consumer._deliver({LOW: Taken(2, (), 9)})  # noqa: SLF001
    assert group.partitions.committable() == {LOW: 2}


async def test_a_rescue_without_an_answer_is_told_once(group: Group, caplog: pytest.LogCaptureFixture):
    await group.deliver(low=of(LOW, 2))
    for _ in range(3):
        assert await group.mend("unreadable", LOW, HIGH) == {}
    assert sorted(complaints(caplog)) == [
        f"{topic} at {where}: aiokafka cannot read it, and another client got no answer; trying again"
        for topic, where in (("content.high/0", "its beginning"), ("content.low/0", 2))
    ]
    group.rescuer.found = of(LOW, 1, first=2)
    assert await group.mend("unreadable", LOW) == {LOW: of(LOW, 1, first=2)}
    assert len(complaints(caplog)) == 2
    assert group.thread.looked[-1] == 3


@pytest.mark.parametrize(
    ("held", "sentence"),
    [
        ((9, 20), "content.low/0: 7 records from 2 on are gone"),
        ((20, 20), "content.low/0: 18 records from 2 on are gone"),
        ((0, 1), "content.low/0: it was made anew; 2 was next, and it begins at 0"),
    ],
)
@pytest.mark.parametrize("trouble", ["placeless", "unreadable"])
async def test_a_position_that_no_broker_has_is_a_loss_also_where_nothing_is_left(
    group: Group, held: tuple[int, int], sentence: str, trouble: Trouble
):
    await group.deliver(low=of(LOW, 2))
    group.thread.held = held
    with pytest.raises(PositionLost, match=sentence) as lost:
        await group.mend(trouble, LOW)
    assert group.partitions.counts.missed == lost.value.missed == max(0, held[0] - 2)


async def test_a_position_that_is_there_after_all_is_asked_for_again(group: Group):
    await group.deliver(low=of(LOW, 2))
    assert await group.mend("placeless", LOW, HIGH) == {}
    assert sorted(group.thread.looked) == [0, 2], "of one nothing was ever read"


async def test_a_broker_that_does_not_say_what_it_holds_is_asked_again(
    group: Group, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("streams.continuity._ASK_AGAIN_S", 0.01)
    await group.deliver(low=of(LOW, 2))
    group.thread.held = KafkaTimeoutError()
    group.thread.troubled = {TopicPartition(*LOW): "placeless"}
    group.continuity.mend()
    await asyncio.sleep(0.05)
    assert group.continuity.mended() == {}
    assert group.continuity.mending == {LOW}
    group.thread.held = (0, 9)
    await group.all_looked_after()
    assert group.thread.looked == [2]


async def test_without_the_right_to_ask_what_a_broker_holds_nobody_asks_again(group: Group):
    await group.deliver(low=of(LOW, 2))
    group.thread.held = TopicAuthorizationFailedError(LOW.topic)
    with pytest.raises(TopicAuthorizationFailedError):
        await group.mend("placeless", LOW)


async def test_what_is_mended_when_the_group_is_cut_anew_is_nobodys(group: Group):
    await group.deliver(low=of(LOW, 2))
    group.rescuer.found = of(LOW, 1, first=2)
    group.thread.troubled = {TopicPartition(*LOW): "unreadable"}
    group.rescuer.may_answer.clear()
    group.continuity.mend()
    await group.rebalance(2)
    group.rescuer.may_answer.set()
    await asyncio.to_thread(lambda: None)
    assert (group.continuity.mended(), group.continuity.mending, group.thread.looked) == ({}, set(), [])


async def test_before_the_agents_lie_two_batches_and_what_one_fetch_brings(group: Group):
    """As the engine's page says: a fetch that is begun at two may bring one of each partition."""
    group.consumer.resume_flow()
    group.consumer._active_partitions = {LOW, HIGH}  # noqa: SLF001

    async def fetch(first: int, *tps: TP) -> None:
        found = {tp: records(tp.topic, [b"x"] * 2, first=first) for tp in tps}
        group.thread.brings = {tp: Taken(first, batch, first + 2) for tp, batch in found.items()}
        await group.consumer._deliver(await group.consumer._next_records())  # noqa: SLF001

    await fetch(0, LOW)
    await fetch(2, LOW)
    await fetch(4, LOW, HIGH)
    assert (group.partitions.waiting, group.thread.asked) == (2 + 2, 3)
    await fetch(6, LOW, HIGH)
    assert (group.partitions.waiting, group.thread.asked) == (4, 3), "none is fetched while three wait"
    for batch in group.handed[:2]:
        batch.take()
    await fetch(6, LOW, HIGH)
    assert (group.partitions.waiting, group.thread.asked) == (4, 4)


async def test_what_is_kept_of_a_paused_topic_counts_as_unread(group: Group):
    group.thread.reading = Reading(9, 9)
    assert group.partitions.reading_of(TopicPartition(*LOW)) == Reading(9, 9)
    group.partitions.pause(frozenset({LOW.topic}))
    await group.deliver(low=of(LOW, 2, first=7))
    assert group.partitions.reading_of(TopicPartition(*LOW)) == Reading(7, 9)


def complaints(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was logged as a warning, without the name that mode puts before it."""
    return [
        record.getMessage().split("]: ")[-1] for record in caplog.records if record.levelname == "WARNING"
    ]


class Coordinator:
    """Brokers' coordinator, which refuses the first commit for now; aiokafka then repeats it."""

    generation = 5
    commit_offsets = GroupCoordinator.commit_offsets

    def __init__(self) -> None:
        self._retry_backoff_ms = 1
        self._commit_lock = asyncio.Lock()
        self.refused = asyncio.Event()
        self.taken: list[int] = []

    async def ensure_coordinator_known(self) -> None:
        """It is known."""

    async def _do_commit_offsets(self, _: Any, offsets: dict[TP, int]) -> None:
        if not self.refused.is_set():
            self.refused.set()
            raise GroupLoadInProgressError
        self.taken += offsets.values()


async def test_a_commit_that_is_repeated_does_not_come_after_the_last_one_of_a_drain(group: Group):
    coordinator = Coordinator()

    async def commit(offsets: dict[TP, int]) -> bool:
        await coordinator.commit_offsets(None, {TP(*tp): offset for tp, offset in offsets.items()})
        return True

    group.thread.commit = commit
    await group.deliver(low=of(LOW, 2))
    await group.deliver(low=of(LOW, 1, first=2))
    first, second = group.handed
    assert first.take()
    assert second.take()
    first.settle_all()
    timer = asyncio.ensure_future(group.consumer.commit())
    await coordinator.refused.wait()
    second.settle_all()
    await group.consumer.wait_empty()
    group.assign(2)
    await timer
    # As long as aiokafka would take to repeat it, several times over.
    await asyncio.sleep(0.02)
    assert coordinator.taken == [3]
    assert group.partitions.owned[TopicPartition(*LOW)].committed is None, "it was another's"


async def test_what_is_answered_after_a_rebalance_says_nothing_of_the_new_generation(group: Group):
    answer = asyncio.get_running_loop().create_future()

    async def commit(_: dict[TP, int]) -> bool:
        return await asyncio.shield(answer)

    group.thread.commit = commit
    await group.deliver(low=of(LOW, 2))
    assert group.handed[0].take()
    group.handed[0].settle_all()
    committing = asyncio.ensure_future(group.consumer.commit())
    await asyncio.sleep(0)
    group.assign(2)
    answer.set_result(True)
    assert await committing
    assert group.partitions.owned[TopicPartition(*LOW)].committed is None
