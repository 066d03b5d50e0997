"""One trace from the producer's header to the verdict's, through real processes, at an OTLP receiver."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from deadline import until
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from upped import upped

from infra.cli import main

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN_ID = "00f067aa0ba902b7"
SECRET_WORDS = "the quick brown fox told ann.author to reconsider"


class FakeCollector(ThreadingHTTPServer):
    """Takes spans as an OpenTelemetry collector does."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Take)
        self.bodies: list[bytes] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def spans(self) -> dict[str, Span]:
        """By name."""
        requests = map(ExportTraceServiceRequest.FromString, list(self.bodies))
        return {
            span.name: span
            for request in requests
            for of_resource in request.resource_spans
            for of_scope in of_resource.scope_spans
            for span in of_scope.spans
        }


class _Take(BaseHTTPRequestHandler):
    server: FakeCollector

    def do_POST(self) -> None:
        self.server.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
        body = ExportTraceServiceResponse().SerializeToString()
        self.send_response(200)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args: object) -> None:
        """A request is nothing to tell."""


@pytest.fixture
def collector() -> Iterator[FakeCollector]:
    server = FakeCollector()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_an_events_trace_goes_through_triage_the_model_and_the_verdict(
    kafka, topics_prefix, tmp_path, collector
):
    flags = ("--set=telemetry.traces=otlp", f"--set=telemetry.otlp_endpoint={collector.url}")
    with upped(tmp_path, kafka, topics_prefix, *flags):
        _produce(kafka, topics_prefix, "traced-1", [("traceparent", f"00-{TRACE_ID}-{SPAN_ID}-01".encode())])
        headers = _headers_of_the_verdict(kafka, topics_prefix)
        expected = {"triage", "dispatch wait", "send verdicts"}
        until(lambda: expected <= collector.spans().keys(), within_s=20, what="all spans have come")

    spans = collector.spans()
    [chat] = [span for name, span in spans.items() if name.startswith("chat ")]
    assert {span.trace_id.hex() for span in spans.values()} == {TRACE_ID}
    assert spans["triage"].parent_span_id.hex() == SPAN_ID
    for below in (spans["dispatch wait"], chat, spans["send verdicts"]):
        assert below.parent_span_id == spans["triage"].span_id
    assert headers["traceparent"].decode() == f"00-{TRACE_ID}-{spans['triage'].span_id.hex()}-01"
    assert spans["triage"].start_time_unix_nano <= chat.start_time_unix_nano <= chat.end_time_unix_nano


def test_neither_content_nor_author_nor_id_reaches_the_collector(kafka, topics_prefix, tmp_path, collector):
    flags = ("--set=telemetry.traces=otlp", f"--set=telemetry.otlp_endpoint={collector.url}")
    with upped(tmp_path, kafka, topics_prefix, *flags):
        _produce(kafka, topics_prefix, "private-1", [("traceparent", f"00-{TRACE_ID}-{SPAN_ID}-01".encode())])
        until(lambda: "send verdicts" in collector.spans(), within_s=20, what="the last span has come")

    sent = b"".join(collector.bodies)
    assert b"triage" in sent
    for private in (*SECRET_WORDS.split(), "private-1", "ann.author"):
        if len(private) > 4:
            assert private.encode() not in sent


def test_an_unsampled_event_leaves_no_span(kafka, topics_prefix, tmp_path, collector):
    flags = ("--set=telemetry.traces=otlp", f"--set=telemetry.otlp_endpoint={collector.url}")
    with upped(tmp_path, kafka, topics_prefix, *flags):
        _produce(kafka, topics_prefix, "quiet-1", [("traceparent", f"00-{TRACE_ID}-{SPAN_ID}-00".encode())])
        _headers_of_the_verdict(kafka, topics_prefix)

    assert collector.bodies == []


def _produce(kafka: str, prefix: str, event_id: str, headers: list[tuple[str, bytes]]) -> None:
    event = {"v": 1, "id": event_id, "kind": "moderate", "author": "ann.author", "text": SECRET_WORDS}
    producer = Producer({"bootstrap.servers": kafka})
    producer.produce(f"{prefix}content.critical", json.dumps(event).encode(), b"ann", headers=headers)
    assert producer.flush(20) == 0


def _headers_of_the_verdict(kafka: str, prefix: str) -> dict[str, bytes]:
    """Of the first verdict that comes."""
    consumer = Consumer({"bootstrap.servers": kafka, "group.id": prefix, "enable.auto.commit": False})
    consumer.assign([TopicPartition(f"{prefix}verdicts", number, 0) for number in range(2)])
    try:
        message = consumer.poll(30)
        assert message is not None, "no verdict came"
        assert message.error() is None
        return dict(message.headers() or [])
    finally:
        consumer.close()


def test_send_tells_the_root_of_the_trace(kafka, topics_prefix, tmp_path, collector):
    flags = ("--set=telemetry.traces=otlp", f"--set=telemetry.otlp_endpoint={collector.url}")
    with upped(tmp_path, kafka, topics_prefix, *flags):
        code = main(
            [
                *(f"--bootstrap={kafka}", f"--set=topics.prefix={topics_prefix}", *flags),
                *("send", "--wait", SECRET_WORDS),
            ]
        )
        until(lambda: {"send", "send verdicts"} <= collector.spans().keys(), within_s=20, what="both spans")

    spans = collector.spans()
    assert code == 0
    assert spans["send"].parent_span_id == b""
    assert spans["triage"].parent_span_id == spans["send"].span_id
    assert len({span.trace_id for span in spans.values()}) == 1
