"""Spans, told after the fact: the `Tracer` port, the one that keeps them in memory, and the one that is off.

A stage works without knowing that it is watched; when an event is done, its times are known and its spans
are told. Where a span must be named before it ends (a request to a node carries it), `child` gives its ids
out in advance. Only sampled events are worth the call: ask `core.traceparent.sampled_header` first, which
costs next to nothing.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from streams.core.traceparent import TraceParent

SpanKind = Literal["internal", "producer", "consumer", "client", "server"]
AttributeValue = str | bool | int | float

# Ids must differ between processes that start in the same moment; nobody's safety rests on them.
_CHANCE = random.Random()  # noqa: S311


@dataclass(frozen=True, slots=True, kw_only=True)
class SpanRecord:
    """One finished span. Times are wall clock milliseconds; attributes are named by `streams.conventions`."""

    name: str
    start_ms: float
    end_ms: float
    parent: TraceParent | None = None
    """None: the span begins a trace."""
    context: TraceParent | None = None
    """The span's own ids, where `child` or `root` gave them out before; None: fresh ones."""
    kind: SpanKind = "internal"
    attributes: Mapping[str, AttributeValue] = field(default_factory=dict)
    links: Sequence[TraceParent] = ()
    error: str = ""
    """A code such as `node_timed_out`; never a foreign message, which may quote content."""


class Tracer(Protocol):
    """Takes spans and never stands in the way: only `close` waits, nothing fails."""

    def root(self) -> TraceParent | None:
        """A new trace, for a producer's event; None where this one is not to be recorded."""
        ...

    def child(self, parent: TraceParent) -> TraceParent:
        """The ids of a span to come below `parent`. Where tracing is off it is `parent` itself, passed on."""
        ...

    def record(self, span: SpanRecord) -> TraceParent:
        """Take a finished span, if its trace is sampled. The answer is its place, the parent of the next."""
        ...

    def close(self, within_s: float) -> None:
        """Send what was taken, for so long at most. Blocks: call it from a thread."""
        ...


class NullTracer:
    """Off. A producer's `traceparent` still travels through unchanged, for whoever listens further on."""

    def root(self) -> TraceParent | None:
        """No traces are begun."""
        return None

    def child(self, parent: TraceParent) -> TraceParent:
        """No span is put between."""
        return parent

    def record(self, span: SpanRecord) -> TraceParent:
        """Forget it."""
        return span.context or span.parent or new_trace(sampled=False)

    def close(self, within_s: float) -> None:
        """There is nothing to send."""


class MemoryTracer:
    """Keeps the latest spans, in the order in which they were told."""

    def __init__(self, *, spans_max: int = 10_000) -> None:
        self.spans: deque[SpanRecord] = deque(maxlen=spans_max)
        """Each with its `context` filled in."""

    def __repr__(self) -> str:
        return f"<MemoryTracer | {len(self.spans)} spans>"

    def root(self) -> TraceParent | None:
        """Begin a trace; all are recorded."""
        return new_trace(sampled=True)

    def child(self, parent: TraceParent) -> TraceParent:
        """Fresh ids below `parent`."""
        return new_child(parent)

    def record(self, span: SpanRecord) -> TraceParent:
        """Keep it, if it is sampled."""
        context = context_of(span)
        if context.sampled:
            self.spans.append(placed(span, context))
        return context

    def close(self, within_s: float) -> None:
        """There is nothing to send."""

    def named(self, name: str) -> list[SpanRecord]:
        """All kept spans of this name."""
        return [span for span in self.spans if span.name == name]


def new_trace(*, sampled: bool) -> TraceParent:
    """A trace that nobody has seen before."""
    # Ids of zeros are invalid, so that the lowest is 1.
    trace_id, span_id = _CHANCE.randrange(1, 1 << 128), _CHANCE.randrange(1, 1 << 64)
    return TraceParent(f"{trace_id:032x}", f"{span_id:016x}", sampled)


def new_child(parent: TraceParent) -> TraceParent:
    """A fresh span below `parent`."""
    return parent.child(f"{_CHANCE.randrange(1, 1 << 64):016x}")


def context_of(span: SpanRecord) -> TraceParent:
    """The span's own place: given out before, or made now."""
    if span.context is not None:
        return span.context
    return new_trace(sampled=True) if span.parent is None else new_child(span.parent)


def placed(span: SpanRecord, context: TraceParent) -> SpanRecord:
    """The span with its own place filled in."""
    return SpanRecord(
        name=span.name,
        start_ms=span.start_ms,
        end_ms=max(span.start_ms, span.end_ms),
        parent=span.parent,
        context=context,
        kind=span.kind,
        attributes=dict(span.attributes),
        links=tuple(span.links),
        error=span.error,
    )
