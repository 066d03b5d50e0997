"""Reading what aiokafka cannot: a record whose header names are not UTF-8 fails its fetch again and again.

Anybody who may produce could stop a partition with one such record. librdkafka reads it. Headers are left
out, those of the few neighbours read with it, too: confluent-kafka cannot name them either, and asking it for
them leaves an error behind that some later call raises. A detour: slow, and with a connection of its own.

So is what aiokafka found damaged, by its checksum: that may have happened on the way, or on a broker's disk.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from itertools import takewhile
from typing import Any

import confluent_kafka as ck

from streams.unpacking import FetchedRecord

AT_ONCE = 20
"""Records that are read together: they lose their headers because one of them cannot be read."""
_WITHIN_S = 10.0
_TURN_S = 0.5


class Damaged(Exception):
    """What a broker holds is not what was written: its checksum is another one, whoever reads it."""

    def __init__(self, topic: str, partition: int, offset: int) -> None:
        super().__init__(
            f"{topic}/{partition}: the batch of records at {offset} is damaged on the broker, by its checksum"
        )


class Rescuer:
    """Reads a few records of one partition, from an offset on. Blocks: call it from a thread.

    Python does not end before its threads have; so whoever stops closes it, and who reads comes back soon.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._is_closed = False
        # librdkafka asks for a group, even of a consumer that never joins one.
        self._options = {
            **options,
            "group.id": "penstock.rescue",
            "enable.auto.commit": False,
            # What is gone is not skipped: it is an error, and nothing is read.
            "auto.offset.reset": "error",
            # As much as the engine's own consumer sees, and no more.
            "isolation.level": "read_committed",
            # As aiokafka does; librdkafka would take for a record whatever stands there.
            "check.crcs": True,
        }

    def close(self) -> None:
        """Nobody waits for an answer any more: who reads in another thread ends within a turn."""
        self._is_closed = True

    def read(self, topic: str, partition: int, offset: int | None, records_max: int) -> list[FetchedRecord]:
        """The next records, without an offset the first; raises `Damaged` where they are.

        Nothing where the broker does not answer in time, or does not have the offset.
        """
        consumer = ck.Consumer(self._options)
        try:
            start = ck.OFFSET_BEGINNING if offset is None else offset
            consumer.assign([ck.TopicPartition(topic, partition, start)])
            deadline = time.monotonic() + _WITHIN_S
            found: list[FetchedRecord] = []
            while not (found or self._is_closed) and time.monotonic() < deadline:
                messages = consumer.consume(records_max, _TURN_S)
                # librdkafka goes on behind what it cannot read; what it found there would follow on nothing.
                whole = [*takewhile(lambda message: message.error() is None, messages)]
                found = [_record(message) for message in whole]
                if messages and not whole and _is_the_end(messages[0]):
                    break
            return found
        finally:
            consumer.close()

    async def written_at_ms(self, topic: str, partition: int, offset: int) -> int | None:
        """When the next record from an offset on was written; None where nobody says."""
        found = await asyncio.to_thread(self.read, topic, partition, offset, 1)
        return found[0].timestamp if found else None


def _is_the_end(message: ck.Message) -> bool:
    """Whether the broker has no such offset: waiting would not bring it. Raises `Damaged`."""
    error = message.error()
    if error is not None and error.code() == ck.KafkaError._BAD_MSG:  # noqa: SLF001
        raise Damaged(message.topic() or "", message.partition() or 0, message.offset() or 0)
    return error is not None and error.code() == ck.KafkaError._AUTO_OFFSET_RESET  # noqa: SLF001


def _record(message: ck.Message) -> FetchedRecord:
    return FetchedRecord(
        topic=message.topic() or "",
        partition=message.partition() or 0,
        offset=message.offset() or 0,
        timestamp=message.timestamp()[1],
        key=message.key(),
        value=message.value(),
    )
