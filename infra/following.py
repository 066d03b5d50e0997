"""Following a topic for a command: from the end, the start, or a little before the end; on and on, or once.

What stood in the topic at the beginning is given in the order of time, as far as it fits; what comes later,
as it comes. Decoding is the caller's.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from typing import Literal

from infra.clients import Cluster, Found, Reader
from schemas.settings import Settings

# Held back so that they can be given in the order of time: a minute's reading at most, and little memory.
_HELD_MAX = 20_000
_HELD_BYTES_MAX = 64 << 20

_Moment = tuple[int, str, int, int]

From = Literal["end", "start"] | int
"""Where to begin; a number: with the last so many records."""


def follow(
    settings: Settings, cluster: Cluster, topics: Sequence[str], begin: From, *, on_and_on: bool
) -> Iterator[Found]:
    """Records, as they come; ends with what stood there at the beginning unless it is to go on and on."""
    reader = Reader(settings, cluster)
    try:
        left = reader.ends(topics)
        if begin == "end":
            reader.start_at_end(topics)
            left = {}
        elif begin == "start":
            reader.start_at_beginning(topics)
            yield from in_order(_to_end(reader, left))
        else:
            reader.start_before_end(topics, begin)
            yield from latest(_to_end(reader, left), begin)
        while on_and_on:
            yield from reader.read()
    finally:
        reader.close()


def latest(records: Iterator[Found], count: int) -> list[Found]:
    """The last so many by their time, the oldest first."""
    return sorted(heapq.nlargest(count, records, key=_moment), key=_moment)


def in_order(
    records: Iterator[Found], *, records_max: int = _HELD_MAX, bytes_max: int = _HELD_BYTES_MAX
) -> Iterator[Found]:
    """Records by their time, as far as so many of them bring it about: they come partition by partition."""
    held: list[tuple[_Moment, Found]] = []
    size_bytes = 0
    for found in records:
        heapq.heappush(held, (_moment(found), found))
        size_bytes += len(found.value or b"")
        while len(held) > records_max or size_bytes > bytes_max:
            first = heapq.heappop(held)[1]
            size_bytes -= len(first.value or b"")
            yield first
    while held:
        yield heapq.heappop(held)[1]


def _to_end(reader: Reader, left: dict[tuple[str, int], int]) -> Iterator[Found]:
    """Everything up to the offsets that were the ends at the beginning; what lies beyond is given, too."""
    left = dict(left)
    while left:
        for found in sorted(reader.read(), key=_moment):
            place = (found.topic, found.partition)
            if found.offset + 1 >= left.get(place, found.offset + 2):
                del left[place]
            yield found


def _moment(found: Found) -> _Moment:
    return (found.timestamp_ms, found.topic, found.partition, found.offset)
