"""Faust made lossless: its Kafka transport, by subclass, with batches, watermark commits and a bounded drain.

Faust keeps membership, rebalances, agents and their supervision. Here it is given: one event for all records
that a fetch brought of a partition; a commit of the contiguous watermark only; partitions held before the
fetch instead of paused after it; urgent partitions asked first; and a producer that does nothing, because
`publishing` writes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

import aiokafka
import faust
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import ConsumerStoppedError, IllegalStateError, KafkaError
from faust.tables.manager import TableManager
from faust.topics import Topic
from faust.transport.consumer import RecordMap
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage, EventT, Message
from mode.types import ServiceT

from streams.partitions import Partitions, TopicPartition

# A fetch that waits on some partitions only must look again soon, because held ones may have been released.
_HELD_WAIT_S = 0.05
_IDLE_WAIT_S = 0.5
# Batches that may lie before the agents: enough to keep them busy while the next fetch is under way, few
# enough that a critical record does not queue behind a backlog that was fetched before it.
_BATCHES_WAITING_MAX = 3
# Faust polls as long as it lives; the engine's own watchdog, not aiokafka's, says when work is stuck.
_POLL_INTERVAL_MS = 2**31 - 1
# The commit that ends a drain, when the drain's own time is spent.
_LAST_COMMIT_S = 2.0


class PositionLost(Exception):
    """The broker no longer holds what comes next: records were deleted before they were settled."""

    def __init__(self, tp: TopicPartition, *, expected: int, earliest: int) -> None:
        super().__init__(
            f"{tp.topic}/{tp.partition}: {earliest - expected} records from {expected} on are gone"
        )
        self.missed = earliest - expected


@dataclass(frozen=True, slots=True)
class TransportOptions:
    """What the transport needs beside Faust's own settings."""

    partitions: Partitions
    consumer_options: Mapping[str, Any]
    """aiokafka's keyword arguments: servers, security, timeouts, bounds of a fetch."""
    batch_records_max: int
    drain_timeout_ms: int


class BatchTopic(Topic):
    """A topic whose events are batches: nothing is decoded on the way to the agent."""

    def _compile_decode(self) -> None:
        """Faust would put a compiled decoder over `decode`; the one below is all there is."""

    async def decode(self, message: Message, *, propagate: bool = False) -> EventT[Any]:  # noqa: ARG002 - Faust's
        """The batch as it is."""
        return self._create_event(None, message.value, None, message=message)


class PromptTableManager(TableManager):
    """Faust's table manager without the second it waits for tables at the start: we have none."""

    async def on_start(self) -> None:
        await self._update_channels()
        await self.recovery.start()


class BatchConsumerThread(driver.AIOKafkaConsumerThread):
    """The thread that talks to the brokers."""

    consumer: BatchConsumer

    def _create_worker_consumer(self, transport: driver.Transport) -> aiokafka.AIOKafkaConsumer:  # noqa: ARG002
        options = self.consumer.options
        conf = self.app.conf
        # Range, because it gives partition k of all of a stage's topics to the same worker.
        self._assignor = RangePartitionAssignor
        return aiokafka.AIOKafkaConsumer(
            **options.consumer_options,
            group_id=conf.id,
            group_instance_id=conf.consumer_group_instance_id,
            partition_assignment_strategy=[RangePartitionAssignor],
            max_poll_records=options.batch_records_max,
            max_poll_interval_ms=_POLL_INTERVAL_MS,
        )

    async def _fetch_records(
        self,
        consumer: aiokafka.AIOKafkaConsumer,
        active_partitions: set[TP],
        timeout: float | None = None,
        max_records: int | None = None,
    ) -> RecordMap:
        """What is buffered of the most urgent partitions first; waits only where nothing is."""
        if not self.consumer.flow_active:
            return {}
        fetcher = consumer._fetcher
        if consumer._closed or fetcher._closed:
            raise ConsumerStoppedError
        limit = max_records or 1
        found: dict[TP, list[Any]] = {}
        with fetcher._subscriptions.fetch_context():
            for level in self._by_urgency(active_partitions):
                # A less urgent level always gets an eighth, so that a backlog above it does not starve it.
                room = max(limit - sum(map(len, found.values())), limit // 8, 1)
                found.update(await fetcher.fetched_records(level, timeout=0, max_records=room))
            return found or await fetcher.fetched_records(
                active_partitions, timeout=timeout, max_records=limit
            )

    def _by_urgency(self, tps: Iterable[TP]) -> Iterator[set[TP]]:
        """The partitions in groups, the most urgent first."""
        urgency_of = self.consumer.partitions.urgency_of
        levels: dict[int, set[TP]] = {}
        for tp in tps:
            levels.setdefault(urgency_of(tp.topic), set()).add(tp)
        return (levels[urgency] for urgency in sorted(levels))

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        """Commit; a failure is told, not fatal: the watermark stands and the next commit repeats it."""
        owned = self.assignment()
        payload = {aiokafka.TopicPartition(*tp): offset for tp, offset in offsets.items() if tp in owned}
        if not payload:
            return False
        try:
            await self._ensure_consumer().commit(payload)
        except (KafkaError, IllegalStateError) as refusal:
            self.log.warning("commit refused, it will be repeated: %s", type(refusal).__name__)
            return False
        return True

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Faust's livelock reports assume its own bookkeeping; the engine's watchdog replaces them."""


class BatchConsumer(driver.Consumer):
    """The consumer on the event loop's side."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.options = cast("BatchTransport", self.transport).options
        self.partitions = self.options.partitions

    def _new_consumer_thread(self) -> driver.AIOKafkaConsumerThread:
        return BatchConsumerThread(self, loop=self.loop, beacon=self.beacon)

    # -- delivery -------------------------------------------------------------------------------------------

    async def _drain_messages(self, fetcher: ServiceT) -> None:
        """Fetch and hand over, until somebody stops us."""
        try:
            while not (self.should_stop or fetcher.should_stop):
                generation = self.app.consumer_generation_id
                records = await self._next_records()
                if records and await self._may_deliver(generation):
                    await self._deliver(records)
                # A fetch that finds its records buffered never leaves the loop to others by itself.
                await asyncio.sleep(0)
        except ConsumerStoppedError:
            if not self.app.should_stop:
                raise

    async def _next_records(self) -> RecordMap:
        """The next fetch; empty where nothing came or nothing may be asked for."""
        if not self.flow_active:
            await self._flow()
        partitions = self.partitions
        partitions.progress.clear()
        active = self._get_active_partitions()
        held = partitions.held() & active
        # An empty set would mean "all" to aiokafka.
        if active == held or partitions.waiting >= _BATCHES_WAITING_MAX:
            await self._progress(_HELD_WAIT_S)
            return {}
        return await self._getmany(active - held, _HELD_WAIT_S if held else _IDLE_WAIT_S)

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

    async def _may_deliver(self, generation: int) -> bool:
        """Whether what was fetched is still ours: a rebalance in between makes it somebody else's."""
        if not self.flow_active:
            await self._flow()
        return not self.should_stop and generation == self.app.consumer_generation_id

    async def _deliver(self, records: RecordMap) -> None:
        for tp, found in records.items():
            key = TopicPartition(tp.topic, tp.partition)
            await self._check_position(key, found[0].offset)
            batch = self.partitions.fetched(key, found)
            if batch is None:
                continue
            self.partitions.owned[key].end_offset = self.highwater(TP(*key))
            # The channel's queue has room for more batches than may wait, so this never blocks.
            await self.callback(
                ConsumerMessage(
                    key.topic,
                    key.partition,
                    found[0].offset,
                    0.0,
                    0,
                    None,
                    None,
                    batch,
                    None,
                    0,
                    0,
                    TP(*key),
                    generation_id=self.app.consumer_generation_id,
                )
            )

    async def _check_position(self, tp: TopicPartition, offset: int) -> None:
        """A hole before what was fetched is either compaction's or lost records: the broker's start tells."""
        owned = self.partitions.owned.get(tp)
        if owned is None or owned.expected is None or offset <= owned.expected:
            return
        earliest = next(iter((await self._thread.earliest_offsets(aiokafka.TopicPartition(*tp))).values()))
        if earliest > owned.expected:
            raise PositionLost(tp, expected=owned.expected, earliest=earliest)

    # -- commit ---------------------------------------------------------------------------------------------

    async def force_commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:  # noqa: FBT001, FBT002 - Faust's signature
        """Commit the watermarks that have moved."""
        offsets = self.partitions.committable()
        if not offsets:
            return False
        if await self._thread.commit({TP(*tp): offset for tp, offset in offsets.items()}):
            self.partitions.committed(offsets)
            return True
        self.partitions.counts.commit_failures += 1
        return False

    async def perform_seek(self) -> None:
        """Faust seeks to the committed offsets after an assignment; we note them."""
        await super().perform_seek()
        self.partitions.known_committed(
            {
                TopicPartition(*tp): offset
                for tp, offset in self._committed_offset.items()
                if offset is not None
            }
        )

    # -- rebalance and stop ---------------------------------------------------------------------------------

    async def wait_empty(self) -> None:
        """Drain within the deadline, commit, let go. Faust calls it at a rebalance and at a stop alike."""
        began_ms = self.partitions.clock.now_ms()
        drained = await self._drained()
        if not drained:
            self.log.warning(
                "drain: %d records unfinished, they will be delivered again", self.partitions.awaited
            )
        try:
            async with asyncio.timeout(_LAST_COMMIT_S):
                # The first may only have joined a commit under way, which knew less.
                await self.commit()
                await self.commit()
        except TimeoutError:
            self.log.warning("drain: the last commit did not return in time")
        self.partitions.close()
        self.partitions.counts.rebalance_ms = self.partitions.clock.now_ms() - began_ms

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

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """Begin the new generation with clean books."""
        self.partitions.counts.rebalances += 1
        self.partitions.open((tp.topic, tp.partition) for tp in assigned)
        await super().on_partitions_assigned(assigned, generation_id)


class SilentProducer(driver.Producer):
    """Faust's producer, which never connects: what agents write goes through a `Publisher`."""

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
