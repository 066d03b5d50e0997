"""What every tracer keeps to, in memory or through OpenTelemetry's SDK, off or on."""

from __future__ import annotations

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from infra.telemetry import OtelTracer
from streams import conventions
from streams.core.traceparent import TraceParent, parse
from streams.tracing import MemoryTracer, NullTracer, SpanRecord

SAMPLED = TraceParent("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", sampled=True)
UNSAMPLED = SAMPLED._replace(sampled=False)


class Kept:
    """One tracer, and the names of the spans that it has kept."""

    def __init__(self, kind: str) -> None:
        self.exporter = InMemorySpanExporter()
        self.on = kind != "off"
        self.tracer = {
            "off": NullTracer,
            "memory": MemoryTracer,
            "opentelemetry": lambda: OtelTracer(self.exporter, instance="test-0"),
        }[kind]()

    def names(self) -> list[str]:
        self.tracer.close(5.0)
        if isinstance(self.tracer, MemoryTracer):
            return [span.name for span in self.tracer.spans]
        return [span.name for span in self.exporter.get_finished_spans()]


@pytest.fixture(params=["off", "memory", "opentelemetry"])
def kept(request):
    made = Kept(request.param)
    yield made
    made.tracer.close(5.0)


def span(parent: TraceParent | None, **fields) -> SpanRecord:
    defaults = {"name": conventions.SPAN_TRIAGE, "start_ms": 1_000.0, "end_ms": 1_002.5, "parent": parent}
    return SpanRecord(**defaults | fields)


def test_sampled_spans_are_kept_in_order(kept):
    kept.tracer.record(span(SAMPLED, name="first"))
    kept.tracer.record(span(SAMPLED, name="second"))

    assert kept.names() == (["first", "second"] if kept.on else [])


def test_unsampled_spans_are_not_kept_but_have_a_place(kept):
    context = kept.tracer.record(span(UNSAMPLED))

    assert context.trace_id == UNSAMPLED.trace_id
    assert not context.sampled
    assert kept.names() == []


def test_a_span_stays_in_the_trace_of_its_parent(kept):
    context = kept.tracer.record(span(SAMPLED))

    assert context.trace_id == SAMPLED.trace_id
    assert context.sampled
    assert parse(context.format()) == context


def test_ids_given_out_before_are_those_of_the_span(kept):
    context = kept.tracer.child(SAMPLED)

    assert kept.tracer.record(span(SAMPLED, context=context)) == context


def test_a_span_without_a_parent_begins_a_trace(kept):
    context = kept.tracer.record(span(None))

    assert parse(context.format()) == context
    assert context.sampled is kept.on


def test_a_root_is_sampled_or_is_none(kept):
    root = kept.tracer.root()

    assert (root is not None and root.sampled) if kept.on else root is None


def test_closing_twice_and_telling_afterwards_do_no_harm(kept):
    kept.tracer.close(5.0)
    kept.tracer.close(5.0)

    assert kept.tracer.record(span(SAMPLED)).trace_id == SAMPLED.trace_id
