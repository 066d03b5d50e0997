"""Our own records as they are written: topic, key, bytes, headers.

The partition of what has a key is left to it: librdkafka computes murmur2 in C, ours in Python takes as long
as a rule.
"""

from __future__ import annotations

from schemas.campaign import Campaign
from schemas.event import Source
from schemas.pending import Pending
from schemas.verdict import Verdict
from schemas.wire import encode, verdict_key
from streams.core.traceparent import HEADER, TraceParent
from streams.ports import BY_KEY, Headers, Outgoing, Record
from streams.topics import Topics


def source_of(record: Record) -> Source:
    """Where a record stands."""
    return Source(
        topic=record.topic, partition=record.partition, offset=record.offset, timestamp_ms=record.timestamp
    )


def verdict_record(topics: Topics, verdict: Verdict, trace: TraceParent | None) -> Outgoing:
    """A verdict, beside all other verdicts on its event."""
    key = verdict_key(verdict.tenant, verdict.id)
    return Outgoing(topics.verdicts, BY_KEY, key, encode(verdict), _headers(trace))


def pending_record(topics: Topics, pending: Pending, trace: TraceParent | None) -> Outgoing:
    """An undecided event, in the partition of all copies of its text."""
    key = pending.content_digest.encode()
    return Outgoing(
        topics.pending(pending.priority),
        BY_KEY,
        key,
        encode(pending),
        _headers(trace),
    )


def campaign_record(topics: Topics, campaign: Campaign) -> Outgoing:
    """A campaign's step, beside its earlier ones."""
    return Outgoing(topics.campaigns, BY_KEY, campaign.content_digest.encode(), encode(campaign))


def _headers(trace: TraceParent | None) -> Headers:
    """Only a sampled record carries a header: the others can go in bulk, which has none."""
    return () if trace is None else ((HEADER, trace.format()),)
