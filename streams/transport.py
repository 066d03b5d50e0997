"""Faust made lossless: its Kafka transport, by subclass, with batches, watermark commits and a bounded drain.

Faust keeps membership, rebalances, agents and their supervision. Here it is given: one event for all records
that a fetch brought of a partition; a commit of the contiguous watermark only; partitions held before the
fetch instead of paused after it; urgent partitions asked first; and a producer that does nothing, because
`publishing` writes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, cast

import faust
from aiokafka.errors import ConsumerStoppedError, KafkaConnectionError
from faust.tables.manager import TableManager
from faust.topics import Topic
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage, EventT, Message
from mode import Service
from mode.types import ServiceT

from streams.continuity import Continuity
from streams.fetching import LAST_COMMIT_S, BatchConsumerThread, Taken, TransportOptions
from streams.membership import MemberConsumer
from streams.partitions import Reading, TopicPartition

# A fetch that waits on some partitions only must look again soon, because held ones may have been released.
_HELD_WAIT_S = 0.05
_IDLE_WAIT_S = 0.5
# With so many batches before the agents nothing is fetched; a fetch brings one of each partition, at most.
# Enough to keep them busy while the next fetch is under way, few enough that a critical record does not queue
# behind a backlog that was fetched before it.
_BATCHES_WAITING_MAX = 3


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


class BatchConsumer(driver.Consumer):
    """The consumer on the event loop's side."""

    mundane_level = "debug"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.options = cast("BatchTransport", self.transport).options
        self.partitions = self.options.partitions
        self.partitions.away_ms = self._away_ms
        self.partitions.reading_of = self._reading_of
        self._continuity = Continuity(self.partitions, self.options.rescuer, self._thread)
        self._kept: dict[TopicPartition, Taken] = {}
        """What came of a topic while it was being paused; of the present generation only."""
        self._committing: asyncio.Future[bool] | None = None
        """The commit that was begun last."""

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

    async def _next_records(self) -> dict[TP, Taken]:
        """The next fetch; empty where nothing came or nothing may be asked for."""
        if not self.flow_active:
            await self._flow()
        partitions = self.partitions
        partitions.progress.clear()
        if ready := self._released() | self._mended():
            return ready
        active = self._get_active_partitions()
        left_out = partitions.hold() | self._continuity.mending
        held = {tp for tp in map(_plain, left_out) if tp in active}
        # An empty set would mean "all" to aiokafka.
        if active == held or partitions.waiting >= _BATCHES_WAITING_MAX:
            await self._progress(_HELD_WAIT_S)
            return {}
        records = await self._thread.getmany(active - held, _HELD_WAIT_S if held else _IDLE_WAIT_S)
        if not await self._is_current(self._thread.fetched_in):
            self._thread.troubled.clear()
            return {}
        self._continuity.mend()
        return records

    def _released(self) -> dict[TP, Taken]:
        """What came of a topic while it was being paused, once it is resumed."""
        free = [tp for tp in self._kept if tp.topic not in self.partitions.paused]
        return {TP(*tp): self._kept.pop(tp) for tp in free}

    def _mended(self) -> dict[TP, Taken]:
        return {TP(*tp): taken for tp, taken in self._continuity.mended().items()}

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

    async def _deliver(self, records: dict[TP, Taken]) -> None:
        generation = self.app.consumer_generation_id
        for tp, taken in records.items():
            key = TopicPartition(tp.topic, tp.partition)
            is_paused = key.topic in self.partitions.paused
            if not (is_paused or await self._continuity.continues(key, taken)):
                continue
            # While the ones before were handed over, or looked at, the group may have been cut anew.
            if generation != self.app.consumer_generation_id or not self.flow_active:
                return
            if is_paused:
                # The order came while this fetch was under way.
                kept = self._kept.get(key, Taken(taken.began, (), taken.began))
                self._kept[key] = Taken(kept.began, [*kept.records, *taken.records], taken.ended)
            else:
                await self._hand_over(key, taken)

    async def _hand_over(self, tp: TopicPartition, taken: Taken) -> None:
        """One Faust event for all that came of a partition."""
        records = taken.records
        batch = self.partitions.fetched(tp, records)
        if batch is not None or not records:
            self.partitions.read_over(tp, taken.ended)
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

    def _away_ms(self) -> float:
        consumer = self._thread._consumer
        return consumer.away_ms if isinstance(consumer, MemberConsumer) else 0.0

    def _reading_of(self, tp: TopicPartition) -> Reading | None:
        reading = self._thread.reading_of(tp)
        if reading and (kept := self._kept.get(tp)):
            # It was read, and waits here.
            return Reading(kept.began, reading.end)
        return reading

    # -- commit ---------------------------------------------------------------------------------------------

    async def force_commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:
        """Commit the watermarks that have moved."""
        offsets = self.partitions.committable()
        self.partitions.commit_began()
        if not offsets:
            return False
        # Once it is answered, the same partitions may be ours anew, and begin elsewhere.
        owned = dict(self.partitions.owned)
        payload = {TP(*tp): offset for tp, offset in offsets.items()}
        self._committing = committing = asyncio.ensure_future(self._thread.commit(payload))
        await asyncio.wait({committing})
        if not committing.cancelled() and committing.result():
            self.partitions.committed(offsets, owned)
            return True
        self.partitions.counts.commit_failures += 1
        return False

    def _stop_committing(self) -> None:
        """A commit that is under way is repeated no more."""
        if self._committing is not None:
            self._committing.cancel()

    @Service.task
    async def _commit_on_size(self) -> None:
        """Commit before the timer does where much is settled; a commit that fails waits for one of both."""
        while not self.should_stop:
            # mode's types know only its own events; it waits for asyncio's just as well.
            if not (await self.wait(self.partitions.commit_due)).stopped:  # type: ignore[arg-type]
                await self.commit()

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Faust seeks to the committed offsets after an assignment; we note them, 0 as well."""
        committed: Mapping[TP, int | None] = await self._committed()
        self.partitions.known_committed(
            {TopicPartition(*tp): offset for tp, offset in committed.items() if offset is not None}
        )
        self.partitions.rebalance_ended()
        # Faust's types forget that a partition may have no commit.
        return cast("Mapping[TP, int]", committed)

    async def _committed(self) -> Mapping[TP, int]:
        """Where the group stands, however long Kafka takes to say so."""
        while True:
            try:
                return await super().seek_to_committed()
            except KafkaConnectionError as trouble:
                self.log.warning("nobody says where the group stands; asking again: %s", trouble)
                await self.sleep(_IDLE_WAIT_S)

    # -- rebalance and stop ---------------------------------------------------------------------------------

    async def wait_empty(self) -> None:
        """Drain within the deadline, commit, let go. Faust calls it at a rebalance and at a stop alike."""
        drained = await self._drained()
        if not drained:
            self.log.warning(
                "drain: %d records unfinished, they will be delivered again", self.partitions.awaited
            )
        # Not Faust's `commit`, which would join one under way that knows less. Nor may that one go on:
        # aiokafka repeats what is refused, if need be after us.
        self._stop_committing()
        last = asyncio.ensure_future(self.force_commit())
        try:
            _, late = await asyncio.wait({last}, timeout=LAST_COMMIT_S)
            if late:
                self.log.warning("drain: the last commit did not return in time")
        finally:
            last.cancel()
            self._stop_committing()
            self.partitions.close()
            self._forget()

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

    def _forget(self) -> None:
        """Whoever owns the partitions next reads all of it again."""
        self._kept.clear()
        self._continuity.forget()

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """Begin the new generation with clean books.

        In a stop nothing is begun: Faust would close the connection at once, and the group would wait for us
        until our session ends.
        """
        if self.app.should_stop:
            return
        self._forget()
        self.partitions.open((tp.topic, tp.partition) for tp in assigned)
        await super().on_partitions_assigned(assigned, generation_id)
        if not assigned:
            # Else it goes on until it is known where to begin.
            self.partitions.rebalance_ended()


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
