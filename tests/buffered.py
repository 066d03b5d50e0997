"""What a fetch brought, in aiokafka's own objects over bytes as a broker sends them."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from aiokafka.consumer.fetcher import FetchResult, PartitionRecords
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords

Written = tuple[bytes | None, bytes | None, Sequence[tuple[str, bytes]]]


def fetch_result(
    tp: Any, records: Sequence[Written], *, written_ms: int = 0, begins_at: int = 0, offset: int = 0
) -> FetchResult:
    """Records from `offset` on, as a fetch from `begins_at` on gets them; the batch may begin before that."""
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 1 << 20)
    for at, (key, value, headers) in enumerate(records):
        builder.append(at, written_ms + at, key, value, list(headers))
    data = bytearray(builder.build())
    # A broker writes the offset of the first record into what the producer has made.
    data[:8] = offset.to_bytes(8, "big")
    state = SimpleNamespace(paused=False, position=begins_at)
    state.consumed_to = lambda position: setattr(state, "position", position)
    assignment: Any = SimpleNamespace(active=True, state_value=lambda _: state)
    found = PartitionRecords(tp, MemoryRecords(bytes(data)), [], begins_at, None, None, True, 0)
    return FetchResult(tp, assignment=assignment, partition_records=found, backoff=0)
