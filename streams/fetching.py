"""The thread that talks to the brokers: what is fetched, most urgent first, and what is committed.

Faust's consumer thread, by subclass. It reads what aiokafka has buffered; whether that may be delivered is
decided by the consumer on the event loop's side (`transport`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol, TypeVar, cast

import aiokafka
from aiokafka.consumer.fetcher import Fetcher, OffsetResetStrategy
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import (
    ConsumerStoppedError,
    CorruptRecordException,
    IllegalStateError,
    IncompatibleBrokerVersion,
    KafkaConnectionError,
    KafkaError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
)
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from mode import Service

from streams.cancelling import times_cancelled
from streams.membership import Fenced, MemberConsumer
from streams.partitions import Partitions, Reading, TopicPartition
from streams.rescuing import Rescuer
from streams.unpacking import lightened

T = TypeVar("T")

EARLIEST = OffsetResetStrategy.EARLIEST
# The group's coordinator is listened to this often where nothing is fetched.
_LISTEN_S = 0.5
# Faust polls as long as it lives; the engine's own watchdog, not aiokafka's, says when work is stuck.
_POLL_INTERVAL_MS = 2**31 - 1
# A commit that takes longer has failed, and the next one repeats it: aiokafka would try for ever.
_COMMIT_S = 5.0
LAST_COMMIT_S = 1.0
"""The commit that ends a drain, when the drain's own time is spent."""
# Leaving the group and closing connections; without brokers aiokafka would take minutes.
_CLOSE_S = 1.0


@dataclass(frozen=True, slots=True)
class TransportOptions:
    """What the transport needs beside Faust's own settings."""

    partitions: Partitions
    consumer_options: Mapping[str, Any]
    """aiokafka's keyword arguments: servers, security, timeouts, bounds of a fetch."""
    rescuer: Rescuer
    batch_records_max: int
    drain_timeout_ms: int


class Taken(NamedTuple):
    """What was taken of one partition."""

    began: int
    """The position from which on it was read: between that and the first record, there is none."""
    records: Sequence[Any]
    """None where only markers of transactions were read."""
    ended: int
    """The position after it: between the last record and that, there is none either."""


Trouble = Literal["unreadable", "placeless"]
"""What a fetch met: a record that aiokafka cannot read, or a position that the broker does not have."""


class _Consumer(Protocol):
    """What the thread knows of the consumer that it works for."""

    options: TransportOptions
    partitions: Partitions
    flow_active: bool

    async def crash(self, reason: BaseException) -> None:
        """End, and say why."""
        ...


class BatchConsumerThread(driver.AIOKafkaConsumerThread):
    """The thread that talks to the brokers."""

    mundane_level = "debug"
    # Not mode's minute: the thread bounds its own closing.
    shutdown_timeout = 2 * _CLOSE_S
    consumer: _Consumer  # type: ignore[assignment]
    fetched_in = 0
    """The group's generation in which the last fetch was taken out of aiokafka's buffers."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.troubled: dict[TopicPartition, Trouble] = {}
        """Partitions of which a fetch brings nothing until somebody has looked after them."""

    def _create_worker_consumer(self, transport: driver.Transport) -> MemberConsumer:
        options = self.consumer.options
        conf = self.app.conf
        # Range, because it gives partition k of all of a stage's topics to the same worker.
        self._assignor = RangePartitionAssignor
        return MemberConsumer(
            # No position is reset in silence: what becomes of one that no broker has, `continuity` decides.
            **{**options.consumer_options, "auto_offset_reset": "none"},
            group_id=conf.id,
            group_instance_id=conf.consumer_group_instance_id,
            on_fenced=self._fenced,
            partition_assignment_strategy=[RangePartitionAssignor],
            max_poll_interval_ms=_POLL_INTERVAL_MS,
            # What a producer has taken back is judged by nobody.
            isolation_level="read_committed",
        )

    def _fenced(self, reason: Fenced) -> None:
        """We were frozen, and replaced: what we hold is another's, and we may not even ask to join."""
        asyncio.run_coroutine_threadsafe(self.consumer.crash(reason), self.parent_loop)

    async def getmany(  # type: ignore[override]  # Only our own consumer asks.
        self, active_partitions: set[TP] | None, timeout: float
    ) -> dict[TP, Taken]:
        """Ask the thread itself: Faust's queue of calls costs each fetch two more rounds of its loop."""
        if self.thread_loop.is_closed():
            raise ConsumerStoppedError
        return await self.aside(self._fetch, self._ensure_consumer(), active_partitions or set(), timeout)

    async def aside(self, work: Callable[..., Awaitable[T]], *args: Any) -> T:
        """Work in the thread, beside commits and whatever else waits there for an answer."""
        running: asyncio.Future[T] = asyncio.wrap_future(
            asyncio.run_coroutine_threadsafe(_awaited(work, *args), self.thread_loop)
        )
        before = times_cancelled()
        try:
            return await running
        except asyncio.CancelledError:
            if times_cancelled() > before:
                raise
            # aiokafka cancels its own requests when a connection closes; nobody has cancelled us.
            raise KafkaConnectionError("a request was cancelled") from None

    async def _fetch(self, consumer: MemberConsumer, tps: set[TP], within_s: float) -> dict[TP, Taken]:
        """What is buffered of the most urgent partitions first; waits only where nothing is."""
        if not self.consumer.flow_active:
            return {}
        fetcher = consumer._fetcher
        if consumer._closed or fetcher._closed:
            raise ConsumerStoppedError
        self._check_errors(consumer)
        self.fetched_in = consumer._coordinator.generation
        with fetcher._subscriptions.fetch_context():
            records = await self._buffered(fetcher, tps)
            if not (records or self.troubled) and await _arrived(fetcher, within_s):
                records = await self._buffered(fetcher, tps)
        # Asking may wait for the end of a rebalance: then some of it is of the generation before.
        return records if self.fetched_in == consumer._coordinator.generation else {}

    @Service.task
    async def _listen(self) -> None:
        """Hear the coordinator where nobody fetches: before the first assignment, and in a rebalance."""
        while not self.should_stop:
            await self.sleep(_LISTEN_S)
            if self._consumer is None or self._consumer._fetcher is None:
                continue
            try:
                self._check_errors(self._consumer)
            except Exception as trouble:  # noqa: BLE001 - whatever it is, nobody else would ever hear of it
                asyncio.run_coroutine_threadsafe(self.consumer.crash(trouble), self.parent_loop)
                return

    def _check_errors(self, consumer: MemberConsumer) -> None:
        """Hear what aiokafka complains of: until somebody does, its coordinator rests.

        A broker that went away before it said what it understands may come back; the rest stops the worker.
        """
        try:
            consumer._coordinator.check_errors()
        except IncompatibleBrokerVersion as trouble:
            self.log.warning("the group's coordinator is asked again: %s", type(trouble).__name__)
        consumer.check_background()

    async def _buffered(self, fetcher: Fetcher, tps: Iterable[TP]) -> dict[TP, Taken]:
        limit = self.consumer.options.batch_records_max
        found: dict[TP, Taken] = {}
        taken = 0
        for level in self._by_urgency(tps):
            # A less urgent level always gets an eighth, so that a backlog above it does not starve it.
            room = max(limit - taken, limit // 8, 1)
            for tp in [tp for tp in fetcher._records if tp in level]:
                if (part := await self._taken(fetcher, tp, room)) is not None:
                    found[tp] = part
                    taken += len(part.records)
                    room -= len(part.records)
                if room <= 0:
                    break
        return found

    async def _taken(self, fetcher: Fetcher, tp: TP, records_max: int) -> Taken | None:
        """What is buffered of one partition; by itself, so that its trouble is not the others'."""
        # Gone, perhaps: asking for one may wait for the end of a rebalance, and clears away what is not ours
        # any more.
        source = lightened(fetcher._records.get(tp))
        began = source.next_fetch_offset if source else 0
        try:
            found = await fetcher.fetched_records({tp}, timeout=0, max_records=records_max)
        except (UnicodeDecodeError, CorruptRecordException):
            self.troubled[TopicPartition(*tp)] = "unreadable"
        except NoOffsetForPartitionError:
            # The group never committed anything here, and begins with all there is.
            fetcher._subscriptions.subscription.assignment.state_value(tp).await_reset(EARLIEST)
        except OffsetOutOfRangeError:
            self.troubled[TopicPartition(*tp)] = "placeless"
        else:
            # Else what was buffered was of a place where we do not read any more.
            if source and (ended := source.next_fetch_offset) > began:
                return Taken(began, found.get(tp, ()), ended)
        return None

    def _by_urgency(self, tps: Iterable[TP]) -> Iterator[set[TP]]:
        """The partitions in groups, the most urgent first."""
        urgency_of = self.consumer.partitions.urgency_of
        levels: dict[int, set[TP]] = {}
        for tp in tps:
            levels.setdefault(urgency_of(tp.topic), set()).add(tp)
        return (levels[urgency] for urgency in sorted(levels))

    def reading_of(self, tp: TopicPartition) -> Reading | None:
        """How far aiokafka is with a partition; None where it has no place there, or was never answered."""
        subscription = self._consumer and self._consumer._subscription.subscription
        state = subscription and subscription.assignment and subscription.assignment.state_value(tp)
        # Read once: it is set anew by another thread.
        if not state or (position := state._position) is None or (end := state.highwater) is None:
            return None
        return Reading(position, end)

    async def seek_to(self, tp: TopicPartition, offset: int) -> None:
        """Fetch from this offset on, if the partition is still ours."""
        with suppress(IllegalStateError):
            self._ensure_consumer().seek(aiokafka.TopicPartition(*tp), offset)

    async def range_of(self, tp: TopicPartition) -> tuple[int, int]:
        """Which offsets a broker holds: the first of them, and the one after the last."""
        where, consumer = aiokafka.TopicPartition(*tp), self._ensure_consumer()
        [first] = (await consumer.beginning_offsets([where])).values()
        [end] = (await consumer.end_offsets([where])).values()
        return first, end

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Ask where the group stands, and go there; whoever is cancelled while he asks goes nowhere."""
        return await self.aside(self._ensure_consumer().seek_to_committed)

    async def commit(self, offsets: Mapping[TP, int]) -> bool:
        """Commit; whoever is cancelled meanwhile tries no more."""
        try:
            return await self.aside(self._commit, offsets)
        except KafkaConnectionError as trouble:
            self.log.warning("commit not answered, it will be repeated: %s", trouble)
            return False

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        """Commit; a failure is told, not fatal: the watermark stands and the next commit repeats it."""
        owned = self.assignment()
        consumer = cast("MemberConsumer", self._ensure_consumer())
        payload = {aiokafka.TopicPartition(*tp): offset for tp, offset in offsets.items() if tp in owned}
        # A broker takes the commit of nobody's member where the group is empty: it may be one of long ago.
        if not (payload and consumer.is_member):
            return False
        within_s = LAST_COMMIT_S if self.consumer.partitions.is_draining else _COMMIT_S
        try:
            async with asyncio.timeout(within_s):
                await consumer.commit(payload)
        except TimeoutError:
            self.log.warning("a commit was not answered in %g s, it will be repeated", within_s)
            return False
        except (KafkaError, IllegalStateError) as refusal:
            self.log.warning("commit refused, it will be repeated: %s", type(refusal).__name__)
            return False
        return True

    async def on_thread_stop(self) -> None:
        """Close in time: what is committed is committed, and the group notices who is silent."""
        try:
            async with asyncio.timeout(_CLOSE_S):
                await super().on_thread_stop()
        except (TimeoutError, asyncio.CancelledError):
            # aiokafka passes on the cancelling of its own requests as if it were ours.
            self.log.warning("the connection to Kafka did not close in time")
        except KafkaError as trouble:
            # Leaving is a request like others: a missing right, for one, is told once more.
            self.log.warning("the connection to Kafka did not close well: %s", type(trouble).__name__)

    async def _gather_remaining_tasks(self) -> None:
        """The last thing that the thread does: close what was opened while it was closing."""
        await super()._gather_remaining_tasks()
        if self._consumer is not None:
            self._consumer._client.drop()
            await asyncio.sleep(0)

    def _start_thread(self) -> None:
        """Run; a crash was told by then, and Python need not print it once more."""
        try:
            super()._start_thread()
        except (Exception, asyncio.CancelledError) as end:
            if self.crash_reason is None and not self.should_stop:
                raise
            self.log.debug("the thread ended with %s", type(end).__name__)

    def _stopped_set(self) -> None:
        """Tell the thread to stop; one that crashed may have closed its loop, and waits for nothing."""
        try:
            super()._stopped_set()
        except RuntimeError:
            if self.crash_reason is None:
                raise

    def on_crash(self, msg: str, *fmt: Any, **kwargs: Any) -> None:
        """Mode would print a traceback past the log, which is told of the crash as well."""

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Faust's livelock reports assume its own bookkeeping; the engine's watchdog replaces them."""


async def _arrived(fetcher: Fetcher, within_s: float) -> bool:
    """Wait for the next answer of a broker; True if one came."""
    try:
        async with asyncio.timeout(within_s):
            await fetcher._create_fetch_waiter()
    except Exception:  # noqa: BLE001 - none came in time, or something went wrong, which the next fetch is told
        return False
    return True


async def _awaited(work: Callable[..., Awaitable[T]], *args: Any) -> T:
    return await work(*args)
