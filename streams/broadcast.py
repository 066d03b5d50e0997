"""Topics that every worker reads in full, without a group: `policy` and `control`.

Starting one returns when everything that stood in the topic was handed to the reader; the service then
follows. A record that the reader cannot use is its own affair; only what it raises stops the worker.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import aiokafka
from aiokafka.errors import CorruptRecordException, KafkaError
from mode import Service

from streams.connecting import PatientConsumer
from streams.ports import Record
from streams.rescuing import AT_ONCE, Rescuer

# How long the follower waits for a record before it looks whether it should stop.
_WAIT_MS = 500
# A broker that is away is asked again after so long.
_RETRY_S = 0.5


class Broadcast(Service):
    """One compacted topic of one partition, and who is told of its records."""

    abstract = False
    mundane_level = "debug"

    def __init__(
        self, topic: str, reader: Callable[[Record], None], options: Mapping[str, Any], rescuer: Rescuer
    ) -> None:
        super().__init__()
        self.topic = topic
        self._reader = reader
        self._options = options
        self._rescuer = rescuer
        self._consumer: PatientConsumer | None = None
        self._unreadable_at = -1
        """Where somebody was told that nothing can be read."""

    def __repr__(self) -> str:
        return f"<Broadcast {self.topic} | {self.state}>"

    async def on_start(self) -> None:
        """Read everything that is there now, before anybody judges."""
        partition = aiokafka.TopicPartition(self.topic, 0)
        consumer = PatientConsumer(
            **self._options,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            # What was taken back is no order, nor what may still be; and the rescuer must see as much.
            isolation_level="read_committed",
        )
        self._consumer = consumer
        try:
            await consumer.start()
            consumer.assign([partition])
            end = (await consumer.end_offsets([partition]))[partition]
            # The position, not the last record's offset, because compaction may have removed the last ones.
            while await consumer.position(partition) < end and not self.should_stop:
                await self._read()
        except BaseException:
            # Who fails to start is never told to stop.
            self._rescuer.close()
            await consumer.stop()
            raise

    async def on_stop(self) -> None:
        """Close the connections."""
        self._rescuer.close()
        if self._consumer is not None:
            await self._consumer.stop()

    @Service.task
    async def _follow(self) -> None:
        while not self.should_stop:
            try:
                await self._read()
            except KafkaError as trouble:
                self.log.warning("%s: %s, trying again", self.topic, type(trouble).__name__)
                await self.sleep(_RETRY_S)

    async def _read(self) -> None:
        """One fetch, handed to the reader in its order."""
        consumer = self._consumer
        if consumer is None:
            raise RuntimeError("not started")
        consumer.check_background()
        try:
            found = await consumer.getmany(timeout_ms=_WAIT_MS)
        except (UnicodeDecodeError, CorruptRecordException):
            await self._rescue(consumer)
            return
        for records in found.values():
            for record in records:
                self._reader(record)
            await asyncio.sleep(0)

    async def _rescue(self, consumer: PatientConsumer) -> None:
        """Read on by another way: at a header whose name is not UTF-8 aiokafka would fail for ever.

        Where what stands there is damaged, `Damaged` ends the service: an order may be among it.
        """
        partition = aiokafka.TopicPartition(self.topic, 0)
        position = await consumer.position(partition)
        records = await asyncio.to_thread(self._rescuer.read, self.topic, 0, position, AT_ONCE)
        if not records and self._unreadable_at != position:
            self._unreadable_at = position
            self.log.warning("%s at %d: not a record can be read; trying again", self.topic, position)
        for record in records:
            self._reader(record)
            consumer.seek(partition, record.offset + 1)
