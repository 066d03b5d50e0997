"""OpenTelemetry's exporters behind the tracer: real OTLP over real HTTP, and a collector that is away."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import time

import pytest
from aiohttp import web
from deadline import eventually
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from infra.telemetry import OtelTracer, open_tracer
from schemas.settings import TelemetrySettings
from streams import conventions
from streams.core.traceparent import TraceParent
from streams.tracing import NullTracer, SpanRecord

pytestmark = pytest.mark.slow

PARENT = TraceParent("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", sampled=True)
OTHER = TraceParent("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", sampled=True)


class FakeCollector:
    """Takes OTLP over HTTP as a collector does: protobuf on /v1/traces, answered with protobuf."""

    def __init__(self) -> None:
        self.requests: list[ExportTraceServiceRequest] = []
        self.status = 200

    async def take(self, request: web.Request) -> web.Response:
        assert request.content_type == "application/x-protobuf"
        body = ExportTraceServiceRequest.FromString(await request.read())
        if self.status == 200:
            self.requests.append(body)
        return web.Response(
            status=self.status,
            body=ExportTraceServiceResponse().SerializeToString(),
            content_type="application/x-protobuf",
        )

    def spans(self):
        return [
            span
            for request in self.requests
            for of_resource in request.resource_spans
            for of_scope in of_resource.scope_spans
            for span in of_scope.spans
        ]


@pytest.fixture
async def collector():
    fake = FakeCollector()
    app = web.Application()
    app.router.add_post("/v1/traces", fake.take)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    fake.url = f"http://{host}:{port}"
    yield fake
    await runner.cleanup()


def otlp(url: str, **fields) -> TelemetrySettings:
    return TelemetrySettings(traces="otlp", otlp_endpoint=url, **fields)


def span(name: str = conventions.SPAN_TRIAGE, **fields) -> SpanRecord:
    return SpanRecord(
        **{"name": name, "start_ms": 1_700_000_000_000.5, "end_ms": 1_700_000_000_002.0, "parent": PARENT}
        | fields
    )


async def test_a_span_arrives_at_the_collector_as_it_was_told(collector):
    tracer = open_tracer(otlp(collector.url), instance="worker-1")
    context = tracer.record(
        span(
            kind="consumer",
            attributes={
                conventions.STAGE: "triage",
                "penstock.confidence": 0.25,
                "penstock.attempts": 2,
            },
            links=(OTHER,),
            error="node_timed_out",
        )
    )

    await asyncio.to_thread(tracer.close, 10.0)

    [sent] = collector.spans()
    assert sent.name == "triage"
    assert (sent.trace_id.hex(), sent.span_id.hex()) == (context.trace_id, context.span_id)
    assert sent.trace_id.hex() == PARENT.trace_id
    assert sent.parent_span_id.hex() == PARENT.span_id
    assert sent.start_time_unix_nano == 1_700_000_000_000_500_000
    assert sent.end_time_unix_nano == 1_700_000_000_002_000_000
    assert sent.kind == sent.SpanKind.SPAN_KIND_CONSUMER
    assert [(link.trace_id.hex(), link.span_id.hex()) for link in sent.links] == [
        (OTHER.trace_id, OTHER.span_id)
    ]
    assert {a.key: a.value for a in sent.attributes}[conventions.STAGE].string_value == "triage"
    assert {a.key: a.value for a in sent.attributes}["penstock.confidence"].double_value == 0.25
    assert {a.key: a.value for a in sent.attributes}["penstock.attempts"].int_value == 2
    assert {a.key: a.value for a in sent.attributes}[conventions.ERROR_TYPE].string_value == "node_timed_out"
    assert sent.status.code == sent.status.STATUS_CODE_ERROR
    assert sent.status.message == "node_timed_out"


async def test_the_collector_is_told_which_worker_speaks(collector):
    tracer = open_tracer(otlp(collector.url), instance="worker-1")
    tracer.record(span())

    await asyncio.to_thread(tracer.close, 10.0)

    [of_resource] = collector.requests[0].resource_spans
    attributes = {a.key: a.value.string_value for a in of_resource.resource.attributes}
    assert attributes[conventions.SERVICE_NAME] == "penstock"
    assert attributes[conventions.SERVICE_INSTANCE_ID] == "worker-1"
    assert of_resource.scope_spans[0].scope.name == conventions.SCOPE


async def test_a_trace_of_several_hops_hangs_together(collector):
    tracer = open_tracer(otlp(collector.url), instance="worker-1")
    root = tracer.root()
    assert root is not None
    triage = tracer.child(root)
    chat = tracer.record(span(conventions.span_chat("m"), parent=triage, kind="client"))
    tracer.record(span(parent=root, context=triage))
    tracer.record(span(conventions.SPAN_SEND, parent=None, context=root, kind="producer"))

    await asyncio.to_thread(tracer.close, 10.0)

    sent = {each.name: each for each in collector.spans()}
    assert len(sent) == 3
    assert sent["send"].parent_span_id == b""
    assert sent["triage"].parent_span_id == sent["send"].span_id
    assert sent["chat m"].parent_span_id == sent["triage"].span_id
    assert sent["chat m"].span_id.hex() == chat.span_id
    assert len({each.trace_id for each in sent.values()}) == 1


async def test_spans_are_sent_without_being_asked_for(collector):
    tracer = open_tracer(otlp(collector.url), instance="worker-1")
    for number in range(100):
        tracer.record(span(f"s{number}"))

    await eventually(lambda: len(collector.spans()) == 100, within_s=10)

    await asyncio.to_thread(tracer.close, 10.0)
    assert [each.name for each in collector.spans()] == [f"s{number}" for number in range(100)]
    assert repr(tracer) == "<OtelTracer | 100 spans sent, 0 lost>"


async def test_a_collector_that_is_away_costs_no_time_and_one_line(caplog):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        tracer = open_tracer(otlp(f"http://127.0.0.1:{nobody.getsockname()[1]}"), instance="worker-1")
        began = time.monotonic()
        for _ in range(20_000):
            tracer.record(span())
        told_within_s = time.monotonic() - began
        await eventually(lambda: caplog.records, within_s=20)
        closing = time.monotonic()
        await asyncio.to_thread(tracer.close, 0.2)
        closed_within_s = time.monotonic() - closing

    assert told_within_s < 10, "20 000 spans are told at 20 us each, whoever listens"
    assert closed_within_s < 2
    lost = [record for record in caplog.records if "cannot be sent" in record.getMessage()]
    assert len(lost) == 1
    assert {record.name for record in caplog.records} == {"infra.telemetry"}


async def test_a_collector_that_comes_back_is_used_again_and_said_so(caplog):
    exporter = FlakyExporter()
    tracer = OtelTracer(exporter, instance="worker-1")
    exporter.answers = ["raise", SpanExportResult.FAILURE, SpanExportResult.SUCCESS, SpanExportResult.SUCCESS]
    for _ in range(4 * 64):
        tracer.record(span())

    await asyncio.to_thread(tracer.close, 10.0)

    assert exporter.taken == 4 * 64
    assert repr(tracer) == "<OtelTracer | 128 spans sent, 128 lost>"
    assert [record.getMessage() for record in caplog.records] == [
        "Traces cannot be sent and are dropped (RuntimeError); "  # noqa: ISC004 - one sentence.
        "is the collector of telemetry.otlp_endpoint up?",
        "Traces are sent again; 128 spans were lost.",
    ]


class FlakyExporter(SpanExporter):
    """Answers each batch as it is told to."""

    def __init__(self) -> None:
        self.answers: list = []
        self.taken = 0

    def export(self, spans):
        self.taken += len(spans)
        answer = self.answers.pop(0)
        if answer == "raise":
            raise RuntimeError("a foreign message that may quote anything")
        return answer

    def shutdown(self):
        pass


async def test_a_proxy_of_the_environment_is_not_between_us_and_the_collector(collector, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    tracer = open_tracer(otlp(collector.url), instance="worker-1")
    tracer.record(span())

    await asyncio.to_thread(tracer.close, 10.0)

    assert len(collector.spans()) == 1


def test_off_starts_nothing():
    assert isinstance(open_tracer(TelemetrySettings(), instance="worker-1"), NullTracer)


def test_the_console_shows_one_line_of_json_a_span_on_stderr(capsys):
    tracer = open_tracer(TelemetrySettings(traces="console"), instance="worker-1")
    tracer.record(span())
    tracer.record(span(conventions.SPAN_DISPATCH_WAIT))
    tracer.close(10.0)

    shown = capsys.readouterr()
    assert shown.out == ""
    assert [json.loads(line)["name"] for line in shown.err.splitlines()] == ["triage", "dispatch wait"]


@pytest.mark.parametrize(("ratio", "least", "most"), [(0.0, 0, 0), (0.25, 150, 350), (1.0, 1_000, 1_000)])
def test_so_many_traces_are_begun_as_the_ratio_says(ratio, least, most):
    tracer = open_tracer(TelemetrySettings(traces="console", sample_ratio=ratio), instance="worker-1")

    begun = sum(tracer.root() is not None for _ in range(1_000))

    tracer.close(5.0)
    assert least <= begun <= most


@pytest.fixture(autouse=True)
def _lines_are_seen(caplog):
    caplog.set_level(logging.DEBUG, logger="infra.telemetry")
    caplog.set_level(logging.WARNING)
