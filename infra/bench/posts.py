"""The records that benches work on: posts of the demonstration's traffic, as full as an app writes them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice

import msgspec
from aiokafka import ConsumerRecord

from infra.load.traffic import Traffic
from schemas.event import Event, Moderate, Scan
from schemas.wire import encode

TOPIC = "content.critical"
_WRITTEN_AT = datetime(2026, 3, 1, 12, 30, 15, 250_000, tzinfo=UTC)
_WRITTEN_AT_MS = round(_WRITTEN_AT.timestamp() * 1_000)


def demo_events(count: int) -> list[Event]:
    """The demonstration's mix of kinds, as it is."""
    return [sent.event for sent in islice(Traffic("bench"), count)]


def posts(count: int) -> list[bytes]:
    """Posts as JSON, with ids and authors as long as most apps have them: some 300 bytes each."""
    return [encode(post) for post in islice(_posts(), count)]


def _posts() -> Iterator[Moderate | Scan]:
    for number, (_, event) in enumerate(Traffic("bench")):
        if isinstance(event, Moderate | Scan):
            yield msgspec.structs.replace(
                event,
                id=f"3f0e9b52-7c1d-4e7a-9a55-{number:012d}",
                author=f"a81bc81b-dead-4e5d-abff-{number % 400:012d}",
                lang="en",
                created_at=_WRITTEN_AT,
                context={},
            )


def fetched(values: list[bytes], *, first_offset: int = 0) -> list[ConsumerRecord[bytes, bytes]]:
    """The records as a fetch brings them of one partition."""
    return [
        ConsumerRecord(
            topic=TOPIC,
            partition=0,
            offset=first_offset + at,
            timestamp=_WRITTEN_AT_MS,
            timestamp_type=1,
            key=b"a81bc81b",
            value=value,
            checksum=None,
            serialized_key_size=8,
            serialized_value_size=len(value),
            headers=(),
        )
        for at, value in enumerate(values)
    ]
