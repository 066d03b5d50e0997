"""What a fetch brought is unpacked into the same records as aiokafka's, and leaves nothing behind."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import FetchError, FetchResult
from buffered import fetch_result

from streams.unpacking import FetchedRecord, lightened

TP = TopicPartition("topic", 3)
WRITTEN_MS = 1_700_000_000_000
RECORDS = [
    (b"key", b"value", [("traceparent", b"00-1"), ("other", b"")]),
    (None, b"no key", []),
    (b"no value", None, []),
    (b"", b"", []),
]


@pytest.fixture
def no_collector() -> Iterator[None]:
    """Let nobody clear up but who is asked to."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def fetched(*, begins_at: int = 0) -> FetchResult:
    return fetch_result(TP, RECORDS, written_ms=WRITTEN_MS, begins_at=begins_at)


def light(**options: int) -> FetchResult:
    result = fetched(**options)
    lightened(result)
    return result


def fields(record: Any) -> tuple[Any, ...]:
    return (
        record.topic,
        record.partition,
        record.offset,
        record.timestamp,
        record.key,
        record.value,
        tuple(record.headers),
    )


@pytest.mark.parametrize("begins_at", range(len(RECORDS) + 1))
def test_a_record_says_what_aiokafkas_says(begins_at):
    theirs, ours = fetched(begins_at=begins_at).getall(), light(begins_at=begins_at).getall()
    assert len(ours) == len(RECORDS) - begins_at
    assert [fields(record) for record in ours] == [fields(record) for record in theirs]
    assert all(type(record) is FetchedRecord for record in ours)


def test_what_is_beyond_the_limit_comes_with_the_next_call():
    result = light()
    found = []
    while result.has_more():
        # As the transport does: whatever lies there is lightened before each step.
        lightened(result)
        found.append([record.offset for record in result.getall(max_records=3)])
    assert found == [[0, 1, 2], [3]]


def test_an_error_in_place_of_a_fetch_is_left_alone():
    error = FetchError(error=ValueError("refused"), backoff=0)
    lightened(error)
    with pytest.raises(ValueError, match="refused"):
        error.check_raise()


@pytest.mark.usefixtures("no_collector")
def test_the_bytes_of_a_fetch_are_free_as_soon_as_they_are_unpacked():
    result = fetched()
    theirs = weakref.ref(result._partition_records)  # noqa: SLF001
    lightened(result)
    assert theirs() is None
    ours = weakref.ref(result._partition_records)  # noqa: SLF001
    assert len(result.getall()) == len(RECORDS)
    assert ours() is None
