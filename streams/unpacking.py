"""The records of a fetch, made cheaply: aiokafka's own take longer than everything else in its thread.

aiokafka still reads the bytes, checks them, and skips what was aborted or is its own; only the object that it
makes of each record is ours.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from aiokafka.consumer.fetcher import FetchResult, PartitionRecords

from streams.ports import Headers


class FetchedRecord(msgspec.Struct, frozen=True, gc=False):
    """A record as `streams.ports.Record` wants it. It refers to nothing that could refer to it."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()


class LightRecords(PartitionRecords):  # type: ignore[misc]  # aiokafka has no types.
    """aiokafka's iterator over what a fetch brought of a partition."""

    def __iter__(self) -> Iterator[FetchedRecord]:
        """Its generator itself, instead of a call around each step of it."""
        found: Iterator[FetchedRecord] = self._records_iterator
        return found

    def _consumer_record(self, tp: Any, record: Any) -> FetchedRecord:
        return FetchedRecord(
            tp.topic, tp.partition, record.offset, record.timestamp, record.key, record.value, record.headers
        )


def lightened(fetched: object) -> PartitionRecords | None:
    """What a fetch brought of a partition, to be unpacked into our records; None where it brought no records.

    Its `next_fetch_offset` is the position from which on they were fetched, and moves as they are unpacked.
    """
    if not isinstance(fetched, FetchResult):
        return None
    records = fetched._partition_records
    if type(records) is PartitionRecords:
        fetched._partition_records = LightRecords(
            records._tp,
            records._records,
            records._aborted_transactions,
            records.next_fetch_offset,
            None,
            None,
            records._check_crcs,
            records._isolation_level,
        )
        # Its generator, which nobody began with, refers back to it: the bytes of the fetch would stay until
        # the garbage collector looks at them, which is not often.
        records._records_iterator = None
    return fetched._partition_records
