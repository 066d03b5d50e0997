"""Faust made lossless: its Kafka transport, by subclass, with batches, watermark commits and a bounded drain.

Faust keeps membership, rebalances, agents and their supervision. Here it is given: one event for all records
that a fetch brought of a partition; a commit of the contiguous watermark only; partitions held before the
fetch instead of paused after it; urgent partitions asked first; and a producer that does nothing, because
`publishing` writes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import aiokafka
import faust
from aiokafka.consumer.fetcher import Fetcher
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import ConsumerStoppedError, IllegalStateError, IncompatibleBrokerVersion, KafkaError
from faust.tables.manager import TableManager
from faust.topics import Topic
from faust.transport.consumer import RecordMap
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage, EventT, Message
from mode import Service
from mode.types import ServiceT

from streams.membership import Fenced, MemberConsumer
from streams.partitions import OwnedPartition, Partitions, Reading, TopicPartition
from streams.rescuing import AT_ONCE, Rescuer
from streams.unpacking import lighten

# A fetch that waits on some partitions only must look again soon, because held ones may have been released.
_HELD_WAIT_S = 0.05
_IDLE_WAIT_S = 0.5
# The group's coordinator is listened to this often where nothing is fetched.
_LISTEN_S = 0.5
# Batches that may lie before the agents: enough to keep them busy while the next fetch is under way, few
# enough that a critical record does not queue behind a backlog that was fetched before it.
_BATCHES_WAITING_MAX = 3
# Faust polls as long as it lives; the engine's own watchdog, not aiokafka's, says when work is stuck.
_POLL_INTERVAL_MS = 2**31 - 1
# A commit that takes longer has failed, and the next one repeats it: aiokafka would try for ever.
_COMMIT_S = 5.0
# The commit that ends a drain, when the drain's own time is spent.
_LAST_COMMIT_S = 1.0
# Leaving the group and closing connections; without brokers aiokafka would take minutes.
_CLOSE_S = 1.0


class PositionLost(Exception):
    """The broker no longer holds what comes next: records were deleted before they were settled.

    `earliest` is what it holds instead; below `expected`, the topic was made anew.
    """

    def __init__(self, tp: TopicPartition, *, expected: int, earliest: int) -> None:
        where = f"{tp.topic}/{tp.partition}"
        if earliest > expected:
            super().__init__(f"{where}: {earliest - expected} records from {expected} on are gone")
        else:
            super().__init__(f"{where}: it was made anew; {expected} was next, and it begins at {earliest}")
        self.missed = max(0, earliest - expected)


@dataclass(frozen=True, slots=True)
class TransportOptions:
    """What the transport needs beside Faust's own settings."""

    partitions: Partitions
    consumer_options: Mapping[str, Any]
    """aiokafka's keyword arguments: servers, security, timeouts, bounds of a fetch."""
    rescuer: Rescuer
    batch_records_max: int
    drain_timeout_ms: int


class BatchTopic(Topic):
    """A topic whose events are batches: nothing is decoded on the way to the agent."""

    def _compile_decode(self) -> None:
        """Faust would put a compiled decoder over `decode`; the one below is all there is."""

    async def decode(self, message: Message, *, propagate: bool = False) -> EventT[Any]:
        """The batch as it is."""
        return self._create_event(None, message.value, None, message=message)


class PromptTableManager(TableManager):
    """Faust's table manager without the second it waits for tables at the start: we have none."""

    mundane_level = "debug"

    async def on_start(self) -> None:
        await self._update_channels()
        await self.recovery.start()


class BatchConsumerThread(driver.AIOKafkaConsumerThread):
    """The thread that talks to the brokers."""

    mundane_level = "debug"
    # Not mode's minute: the thread bounds its own closing.
    shutdown_timeout = 2 * _CLOSE_S
    consumer: BatchConsumer
    fetched_in = 0
    """The group's generation in which the last fetch was taken out of aiokafka's buffers."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.unreadable: set[TopicPartition] = set()
        """Partitions that hold a record which aiokafka cannot read."""

    def _create_worker_consumer(self, transport: driver.Transport) -> MemberConsumer:
        options = self.consumer.options
        conf = self.app.conf
        # Range, because it gives partition k of all of a stage's topics to the same worker.
        self._assignor = RangePartitionAssignor
        return MemberConsumer(
            **options.consumer_options,
            group_id=conf.id,
            group_instance_id=conf.consumer_group_instance_id,
            on_fenced=self._fenced,
            partition_assignment_strategy=[RangePartitionAssignor],
            max_poll_interval_ms=_POLL_INTERVAL_MS,
            # What a producer has taken back is judged by nobody. And where a transaction is open, whoever
            # looks for a hole (`_is_hole`) must see as much as whoever fetches.
            isolation_level="read_committed",
        )

    def _fenced(self, reason: Fenced) -> None:
        """We were frozen, and replaced: what we hold is another's, and we may not even ask to join."""
        asyncio.run_coroutine_threadsafe(self.consumer.crash(reason), self.parent_loop)

    async def getmany(self, active_partitions: set[TP] | None, timeout: float) -> RecordMap:
        """Ask the thread itself: Faust's queue of calls costs each fetch two more rounds of its loop."""
        if self.thread_loop.is_closed():
            raise ConsumerStoppedError
        fetch = self._fetch(self._ensure_consumer(), active_partitions or set(), timeout)
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(fetch, self.thread_loop))

    async def _fetch(self, consumer: MemberConsumer, tps: set[TP], within_s: float) -> RecordMap:
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
            if not (records or self.unreadable) and await _arrived(fetcher, within_s):
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

    async def _buffered(self, fetcher: Fetcher, tps: Iterable[TP]) -> RecordMap:
        limit = self.consumer.options.batch_records_max
        found: dict[TP, list[Any]] = {}
        for level in self._by_urgency(tps):
            # A less urgent level always gets an eighth, so that a backlog above it does not starve it.
            room = max(limit - sum(map(len, found.values())), limit // 8, 1)
            for tp in [tp for tp in fetcher._records if tp in level]:
                # Gone, perhaps: asking for one may wait for the end of a rebalance, and clears away what is
                # not ours any more.
                lighten(fetcher._records.get(tp))
                # One at a time: a record that cannot be read must not take others with it.
                try:
                    found.update(await fetcher.fetched_records({tp}, timeout=0, max_records=room))
                except UnicodeDecodeError:
                    self.unreadable.add(TopicPartition(*tp))
                room -= len(found.get(tp, ()))
                if room <= 0:
                    break
        return found

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

    async def look_again(self, tp: aiokafka.TopicPartition, offset: int) -> None:
        """Fetch from this offset once more."""
        self._ensure_consumer().seek(tp, offset)

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        """Commit; a failure is told, not fatal: the watermark stands and the next commit repeats it."""
        owned = self.assignment()
        consumer = cast("MemberConsumer", self._ensure_consumer())
        payload = {aiokafka.TopicPartition(*tp): offset for tp, offset in offsets.items() if tp in owned}
        # A broker takes the commit of nobody's member where the group is empty: it may be one of long ago.
        if not (payload and consumer.is_member):
            return False
        within_s = _LAST_COMMIT_S if self.consumer.partitions.is_draining else _COMMIT_S
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
        except Exception:
            if self.crash_reason is None:
                raise

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


class BatchConsumer(driver.Consumer):
    """The consumer on the event loop's side."""

    mundane_level = "debug"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.options = cast("BatchTransport", self.transport).options
        self.partitions = self.options.partitions
        self.partitions.away_ms = self._away_ms
        self.partitions.reading_of = self._reading_of
        self._kept: dict[TopicPartition, list[Any]] = {}
        """What came of a topic while it was being paused; of the present generation only."""

    _thread: BatchConsumerThread

    def _new_consumer_thread(self) -> BatchConsumerThread:
        # A loop like the app's: by default the thread would get asyncio's own, which is slower than uvloop.
        thread = BatchConsumerThread(self, loop=self.loop, thread_loop=type(self.loop)(), beacon=self.beacon)
        thread._close_thread_loop_on_stop = True
        return thread

    # -- delivery -------------------------------------------------------------------------------------------

    async def _drain_messages(self, fetcher: ServiceT) -> None:
        """Fetch and hand over, until somebody stops us."""
        try:
            while not (self.should_stop or fetcher.should_stop):
                records = await self._next_records()
                await self._deliver(records)
                # A fetch that finds its records buffered never leaves the loop to others by itself.
                await asyncio.sleep(0)
        except ConsumerStoppedError:
            if not self.app.should_stop:
                raise
        except asyncio.CancelledError:
            # A stop in the middle of a rebalance: Faust would take the fetch that it cancels for a crash, and
            # close the connection before the drain has committed.
            if not fetcher.should_stop:
                raise

    async def _next_records(self) -> RecordMap:
        """The next fetch; empty where nothing came or nothing may be asked for."""
        if not self.flow_active:
            await self._flow()
        partitions = self.partitions
        partitions.progress.clear()
        if released := self._released():
            return released
        active = self._get_active_partitions()
        held = {tp for tp in map(_plain, partitions.hold()) if tp in active}
        # An empty set would mean "all" to aiokafka.
        if active == held or partitions.waiting >= _BATCHES_WAITING_MAX:
            await self._progress(_HELD_WAIT_S)
            return {}
        records = await self._getmany(active - held, _HELD_WAIT_S if held else _IDLE_WAIT_S)
        if not await self._is_current(self._thread.fetched_in):
            self._thread.unreadable.clear()
            return {}
        return {**records, **await self._rescued()}

    async def _rescued(self) -> RecordMap:
        """The next records of partitions that hold one which aiokafka cannot read, by another way."""
        found: dict[TP, list[Any]] = {}
        while self._thread.unreadable:
            tp = self._thread.unreadable.pop()
            owned = self.partitions.owned.get(tp)
            if owned is None:
                continue
            records = await asyncio.to_thread(self.options.rescuer.read, *tp, owned.expected, AT_ONCE)
            if not records:
                self._complain(
                    owned,
                    owned.expected,
                    "aiokafka cannot read it, and another client got no answer; trying again",
                )
            # Where nobody answered, the same fetch fails once more and brings us here again.
            beyond = records[-1].offset + 1 if records else owned.expected or 0
            await self._thread.call_thread(self._thread.look_again, aiokafka.TopicPartition(*tp), beyond)
            found[TP(*tp)] = list(records)
        return {tp: records for tp, records in found.items() if records}

    def _released(self) -> RecordMap:
        """What came of a topic while it was being paused, once it is resumed."""
        free = [tp for tp in self._kept if tp.topic not in self.partitions.paused]
        return {TP(*tp): self._kept.pop(tp) for tp in free}

    async def _flow(self) -> None:
        """Wait while Faust has stopped the flow: a rebalance is under way."""
        # mode's types know only its own events; it waits for asyncio's just as well.
        await self.wait(self.can_resume_flow)  # type: ignore[arg-type]

    async def _progress(self, within_s: float) -> None:
        """Wait until something was settled or released, but not long."""
        try:
            async with asyncio.timeout(within_s):
                await self.partitions.progress.wait()
        except TimeoutError:
            return

    async def _is_current(self, generation: int) -> bool:
        """Whether what was fetched in a generation of the group is ours to deliver.

        1. It is of a former generation: positions were set anew since, and whoever owns it now gets it again.
        2. It is of one that Faust has not told us of yet: it waits until Faust lets the flow go on.
        3. It is of the present one.
        """
        while self.app.consumer_generation_id < generation and not self.should_stop:
            # A sleep, not `_progress`: a rebalance settles and closes things, and each would end the wait at
            # once.
            await self.sleep(_HELD_WAIT_S)
        if not self.flow_active:
            await self._flow()
        return not self.should_stop and self.app.consumer_generation_id == generation

    async def _deliver(self, records: RecordMap) -> None:
        generation = self.app.consumer_generation_id
        for tp, found in records.items():
            key = TopicPartition(tp.topic, tp.partition)
            is_paused = key.topic in self.partitions.paused
            if not (is_paused or await self._continues(key, found[0].offset)):
                continue
            # While the ones before were handed over, or looked at, the group may have been cut anew.
            if generation != self.app.consumer_generation_id or not self.flow_active:
                return
            if is_paused:
                # The order came while this fetch was under way.
                self._kept.setdefault(key, []).extend(found)
            else:
                await self._hand_over(key, found)

    async def _hand_over(self, tp: TopicPartition, records: Sequence[Any]) -> None:
        """One Faust event for all that came of a partition."""
        batch = self.partitions.fetched(tp, records)
        if batch is None:
            return
        message = ConsumerMessage(
            tp.topic,
            tp.partition,
            records[0].offset,
            timestamp=0.0,
            timestamp_type=0,
            headers=None,
            key=None,
            value=cast("bytes", batch),
            checksum=None,
            tp=TP(*tp),
            generation_id=self.app.consumer_generation_id,
        )
        # The channel's queue has room for more batches than may wait, so this never blocks.
        await self.callback(message)

    async def _continues(self, tp: TopicPartition, offset: int) -> bool:
        """Whether records that begin here follow on what came before them.

        A hole may be compaction's or a transaction's. It may also be records that the broker has deleted,
        which its own start tells, or records that went astray between it and us, which another look brings
        back. If it does not, somebody else looks.
        """
        owned = self.partitions.owned.get(tp)
        if owned is None or owned.expected is None:
            return True
        if owned.committed is not None and offset < owned.committed:
            raise PositionLost(tp, expected=owned.expected, earliest=offset)
        if offset <= owned.expected:
            return True
        where = aiokafka.TopicPartition(*tp)
        earliest = next(iter((await self._thread.earliest_offsets(where)).values()))
        if earliest > owned.expected:
            raise PositionLost(tp, expected=owned.expected, earliest=earliest)
        if owned.looked_again_at == owned.expected:
            if await self._is_hole(tp, owned.expected, offset):
                return True
            self._complain(
                owned,
                owned.expected,
                "records were skipped, and no other client confirms the hole; looking again",
            )
        owned.looked_again_at = owned.expected
        await self._thread.call_thread(self._thread.look_again, where, owned.expected)
        return False

    async def _is_hole(self, tp: TopicPartition, begin: int, end: int) -> bool:
        """Whether there is no record between the two, as another client sees it."""
        found = await asyncio.to_thread(self.options.rescuer.read, *tp, begin, 1)
        return bool(found) and found[0].offset >= end

    def _complain(self, owned: OwnedPartition, offset: int | None, sentence: str) -> None:
        """Say once of each offset what is tried there again and again."""
        if sentence in owned.complained_at and owned.complained_at[sentence] == offset:
            return
        owned.complained_at[sentence] = offset
        where = "its beginning" if offset is None else offset
        self.log.warning("%s/%d at %s: %s", *owned.tp, where, sentence)

    def _away_ms(self) -> float:
        consumer = self._thread._consumer
        return consumer.away_ms if isinstance(consumer, MemberConsumer) else 0.0

    def _reading_of(self, tp: TopicPartition) -> Reading | None:
        reading = self._thread.reading_of(tp)
        if reading and (kept := self._kept.get(tp)):
            # It was read, and waits here.
            return Reading(kept[0].offset, reading.end)
        return reading

    # -- commit ---------------------------------------------------------------------------------------------

    async def force_commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:
        """Commit the watermarks that have moved."""
        offsets = self.partitions.committable()
        self.partitions.commit_began()
        if not offsets:
            return False
        if await self._thread.commit({TP(*tp): offset for tp, offset in offsets.items()}):
            self.partitions.committed(offsets)
            return True
        self.partitions.counts.commit_failures += 1
        return False

    @Service.task
    async def _commit_on_size(self) -> None:
        """Commit before the timer does where much is settled; a commit that fails waits for one of both."""
        while not self.should_stop:
            # mode's types know only its own events; it waits for asyncio's just as well.
            if not (await self.wait(self.partitions.commit_due)).stopped:  # type: ignore[arg-type]
                await self.commit()

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Faust seeks to the committed offsets after an assignment; we note them, 0 as well."""
        committed: Mapping[TP, int | None] = await super().seek_to_committed()
        self.partitions.known_committed(
            {TopicPartition(*tp): offset for tp, offset in committed.items() if offset is not None}
        )
        # Faust's types forget that a partition may have no commit.
        return cast("Mapping[TP, int]", committed)

    # -- rebalance and stop ---------------------------------------------------------------------------------

    async def wait_empty(self) -> None:
        """Drain within the deadline, commit, let go. Faust calls it at a rebalance and at a stop alike."""
        drained = await self._drained()
        if not drained:
            self.log.warning(
                "drain: %d records unfinished, they will be delivered again", self.partitions.awaited
            )
        # Not Faust's `commit`, which would join one under way that knows less, and cannot be cancelled.
        last = asyncio.ensure_future(self.force_commit())
        try:
            _, late = await asyncio.wait({last}, timeout=_LAST_COMMIT_S)
            if late:
                self.log.warning("drain: the last commit did not return in time")
        finally:
            last.cancel()
            self.partitions.close()
            self._kept.clear()

    async def _drained(self) -> bool:
        partitions = self.partitions
        partitions.begin_drain()
        try:
            async with asyncio.timeout(self.options.drain_timeout_ms / 1_000):
                while partitions.awaited:
                    partitions.progress.clear()
                    await partitions.progress.wait()
        except TimeoutError:
            return False
        return True

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """A rebalance during a stop waits for the drain, which could not commit afterwards.

        Faust would close the connection at once; the stop closes it in its turn, and leaves the group.
        """
        self.partitions.rebalance_began()
        if self.app.should_stop:
            await self.wait_empty()
        else:
            await super().on_partitions_revoked(revoked)

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """Begin the new generation with clean books."""
        self._kept.clear()
        self.partitions.open((tp.topic, tp.partition) for tp in assigned)
        await super().on_partitions_assigned(assigned, generation_id)
        self.partitions.rebalance_ended()


async def _arrived(fetcher: Fetcher, within_s: float) -> bool:
    """Wait for the next answer of a broker; True if one came."""
    try:
        async with asyncio.timeout(within_s):
            await fetcher._create_fetch_waiter()
    except Exception:  # noqa: BLE001 - none came in time, or something went wrong, which the next fetch is told
        return False
    return True


def _plain(tp: TopicPartition) -> TP:
    """Faust's tuple for ours."""
    return TP(*tp)


class SilentProducer(driver.Producer):
    """Faust's producer, which never connects: what agents write goes through a `Publisher`."""

    mundane_level = "debug"

    async def on_start(self) -> None:
        """There is nothing to connect."""

    async def on_stop(self) -> None:
        """There is nothing to close."""

    async def flush(self) -> None:
        """There is nothing to flush."""

    async def send(self, *args: Any, **kwargs: Any) -> Any:
        """Writing through Faust would bypass the confirmation that settling depends on."""
        raise NotImplementedError("write through a Publisher")


class BatchTransport(driver.Transport):
    """The transport that an app is given: `app.transport = BatchTransport(app, options)`."""

    Consumer = BatchConsumer
    Producer = SilentProducer

    def __init__(self, app: faust.App, options: TransportOptions) -> None:
        super().__init__(app.conf.broker_consumer, app)
        self.options = options
