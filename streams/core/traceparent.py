"""Where a record stands in a trace: the W3C `traceparent` of its header, read and written.

Every record of the flow carries it. Whoever produced an event chose it, so it is hostile until parsed:
anything that is not exactly version 00 is no trace at all, never an error. What follows from it (spans) is
made elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

HEADER = "traceparent"
LENGTH = 55
HEADERS_LOOKED_AT_MAX = 32
"""A record with more headers than this is not ours, and may not cost us a walk through thousands."""

# Version 00, lower case hexadecimal, and neither id all zeros. Any flags are let in; only bit 0 means
# something.
_VERSION_00 = re.compile(rb"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
# The last digit of the flags is odd where bit 0, "sampled", is set.
_SAMPLED_DIGITS = b"13579bdf"


class TraceParent(NamedTuple):
    """One span's place: its trace, its own id, and whether the trace is being recorded."""

    trace_id: str
    span_id: str
    sampled: bool

    def format(self) -> bytes:
        """As the record's header carries it."""
        return f"00-{self.trace_id}-{self.span_id}-{'01' if self.sampled else '00'}".encode()

    def child(self, span_id: str) -> TraceParent:
        """A span below this one."""
        return TraceParent(self.trace_id, span_id, self.sampled)


def parse(value: bytes | None) -> TraceParent | None:
    """The place that a header names; None for anything but a well-formed one."""
    # The length comes first, so that a header of megabytes costs what a short one does.
    if value is None or len(value) != LENGTH:
        return None
    if _VERSION_00.fullmatch(value) is None:
        return None
    text = value.decode()
    return TraceParent(text[3:35], text[36:52], value[-1] in _SAMPLED_DIGITS)


def header(headers: Sequence[tuple[str, bytes]]) -> bytes | None:
    """The first `traceparent` of a record's headers, as it stands; of several only the first is believed."""
    for name, value in headers[:HEADERS_LOOKED_AT_MAX]:
        if name == HEADER:
            return value
    return None


def sampled_header(headers: Sequence[tuple[str, bytes]]) -> bytes | None:
    """The first `traceparent` if it is well-formed and sampled: what must be recorded and passed on.

    Nearly all events are not sampled, so one look at the last digit comes before the pattern.
    """
    if not headers:
        return None
    value = header(headers)
    if value is None or len(value) != LENGTH or value[-1] not in _SAMPLED_DIGITS:
        return None
    return value if _VERSION_00.fullmatch(value) else None
