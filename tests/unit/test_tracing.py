"""Spans in memory and spans that are off: what is kept, what is passed on, what is bounded."""

from __future__ import annotations

import re
from pathlib import Path

from streams import conventions
from streams.core.traceparent import TraceParent, parse
from streams.tracing import MemoryTracer, NullTracer, SpanRecord, new_trace

PARENT = TraceParent("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", sampled=True)


def span(**fields) -> SpanRecord:
    return SpanRecord(**{"name": "triage", "start_ms": 1_000.0, "end_ms": 1_002.0, "parent": PARENT} | fields)


def test_a_memory_tracer_keeps_spans_with_their_own_place():
    tracer = MemoryTracer()

    context = tracer.record(span())

    assert [kept.context for kept in tracer.named("triage")] == [context]
    assert context.trace_id == PARENT.trace_id
    assert context.span_id != PARENT.span_id


def test_a_memory_tracer_keeps_the_latest_spans_only():
    tracer = MemoryTracer(spans_max=3)

    for number in range(10):
        tracer.record(span(name=f"s{number}"))

    assert [kept.name for kept in tracer.spans] == ["s7", "s8", "s9"]
    assert repr(tracer) == "<MemoryTracer | 3 spans>"


def test_a_span_never_ends_before_it_starts():
    tracer = MemoryTracer()

    tracer.record(span(start_ms=2_000.0, end_ms=1_500.0))

    assert tracer.spans[0].end_ms == 2_000.0


def test_attributes_are_kept_as_they_were_when_told():
    tracer, attributes = MemoryTracer(), {"penstock.attempts": 1}

    tracer.record(span(attributes=attributes))
    attributes["penstock.attempts"] = 2

    assert tracer.spans[0].attributes == {"penstock.attempts": 1}


def test_tracing_that_is_off_passes_the_producers_trace_through_unchanged():
    tracer = NullTracer()

    assert tracer.root() is None
    assert tracer.child(PARENT) is PARENT
    assert tracer.record(span()) is PARENT
    assert tracer.record(span(context=tracer.child(PARENT))).format() == PARENT.format()


def test_fresh_ids_are_well_formed_and_differ():
    places = [new_trace(sampled=True) for _ in range(200)]

    assert all(parse(place.format()) == place for place in places)
    assert len({place.trace_id for place in places}) == 200


def test_no_name_of_the_conventions_speaks_of_content_or_people():
    names = {name: value for name, value in vars(conventions).items() if name.isupper()}

    assert len(names) > 20
    assert not [value for value in names.values() if re.search(r"text|content|author|user|event\.id", value)]
    assert len(set(names.values())) == len(names)


def test_the_span_of_a_request_names_the_model():
    assert conventions.span_chat("qwen3:8b") == "chat qwen3:8b"
    assert conventions.span_chat("") == "chat"


def test_every_name_is_one_that_somebody_uses():
    root = Path(conventions.__file__).parents[1]
    files = [path for name in ("streams", "agents", "infra") for path in (root / name).rglob("*.py")]
    text = "".join(path.read_text() for path in files if path.name != "conventions.py")
    names = {name for name in vars(conventions) if name.isupper()}
    assert len(names) > 20
    assert names - set(re.findall(r"\b[A-Z][A-Z_]+\b", text)) == set()
