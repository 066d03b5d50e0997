"""Traces for real: the `Tracer` port on OpenTelemetry's SDK, to a collector or to stderr.

The composition root makes one tracer per process, after any fork, and closes it at the end. Spans are told
after the fact (`streams.tracing`), queued, and sent by a thread of the SDK. A collector that is away costs
spans and one line in the log, never time or memory: the queue is bounded, and what does not fit is dropped.
"""

from __future__ import annotations

import logging
import random
import sys
import threading
from collections.abc import Sequence

import requests
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import (
    BatchSpanProcessor,
    ConsoleSpanExporter,
    SpanExporter,
    SpanExportResult,
)
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from infra.version import version
from schemas.settings import TelemetrySettings
from streams import conventions
from streams.core.traceparent import TraceParent
from streams.tracing import NullTracer, SpanRecord, Tracer, context_of, new_child, new_trace

log = logging.getLogger(__name__)

# 8192 spans are about 8 MB, and at the 300 a second of a busy worker (two spans, one event in a hundred of
# 15 000) half a minute of a collector that is away.
_QUEUE_SPANS_MAX = 8_192
# Encoding holds the interpreter: a batch of 512 gave the event loop a p99 lag of 5.4 ms, one of 64 gave 1.7
# ms.
_BATCH_SPANS_MAX = 64
_SEND_EVERY_MS = 1_000
# One try and one or two more. The thread that sends waits, nobody else does.
_SEND_TIMEOUT_S = 3
_FLAGS = {True: TraceFlags(TraceFlags.SAMPLED), False: TraceFlags(TraceFlags.DEFAULT)}
_KINDS = {
    "internal": SpanKind.INTERNAL,
    "producer": SpanKind.PRODUCER,
    "consumer": SpanKind.CONSUMER,
    "client": SpanKind.CLIENT,
    "server": SpanKind.SERVER,
}


def open_tracer(settings: TelemetrySettings, *, instance: str, service: str = "penstock") -> Tracer:
    """The tracer that the settings ask for. It may start a thread: call it after any fork, and close it."""
    match settings.traces:
        case "off":
            return NullTracer()
        case "console":
            # On stderr, because stdout belongs to verdicts and JSON; one line a span, for whoever greps.
            exporter: SpanExporter = ConsoleSpanExporter(
                out=sys.stderr, formatter=lambda span: span.to_json(indent=None) + "\n"
            )
        case "otlp":
            exporter = _otlp_exporter(settings.otlp_endpoint)
    return OtelTracer(exporter, instance=instance, service=service, sample_ratio=settings.sample_ratio)


class OtelTracer:
    """Spans by OpenTelemetry's exporters. Called from one event loop; nothing here waits for the network."""

    def __init__(
        self, exporter: SpanExporter, *, instance: str, service: str = "penstock", sample_ratio: float = 1.0
    ) -> None:
        self._exporter = _QuietExporter(exporter)
        self._processor = BatchSpanProcessor(
            self._exporter,
            max_queue_size=_QUEUE_SPANS_MAX,
            schedule_delay_millis=_SEND_EVERY_MS,
            max_export_batch_size=_BATCH_SPANS_MAX,
        )
        self._sample_ratio = sample_ratio
        self._chance = random.Random()  # noqa: S311 - which traces are recorded is no secret.
        self._scope = InstrumentationScope(conventions.SCOPE, version())
        # `OTEL_RESOURCE_ATTRIBUTES` is read by the SDK, so that a deployment can add its own.
        self._resource = Resource.create(
            {
                conventions.SERVICE_NAME: service,
                conventions.SERVICE_VERSION: version(),
                conventions.SERVICE_INSTANCE_ID: instance,
            }
        )

    def __repr__(self) -> str:
        return f"<OtelTracer | {self._exporter.sent} spans sent, {self._exporter.lost} lost>"

    def root(self) -> TraceParent | None:
        """A new trace, for as many events as the ratio says."""
        return new_trace(sampled=True) if self._chance.random() < self._sample_ratio else None

    def child(self, parent: TraceParent) -> TraceParent:
        """Fresh ids below `parent`."""
        return new_child(parent)

    def record(self, span: SpanRecord) -> TraceParent:
        """Queue it, if it is sampled."""
        context = context_of(span)
        if context.sampled:
            self._processor.on_end(self._readable(span, context))
        return context

    def close(self, within_s: float) -> None:
        """Send what is queued, for so long at most."""
        # The SDK's own shutdown takes no bound (it waits for 30 s), so it gets a thread that we may leave
        # behind.
        flushing = threading.Thread(target=self._processor.shutdown, name="traces-flush", daemon=True)
        flushing.start()
        flushing.join(within_s)
        if flushing.is_alive():
            log.warning("The last traces could not be sent within %g s and are lost.", within_s)
        self._exporter.shutdown()

    def _readable(self, span: SpanRecord, context: TraceParent) -> ReadableSpan:
        """The SDK's finished span, made directly: ids were given out before, and it is cheaper (10 us)."""
        attributes = dict(span.attributes)
        if span.error:
            attributes[conventions.ERROR_TYPE] = span.error
        return ReadableSpan(
            name=span.name,
            context=_span_context(context, is_remote=False),
            parent=None if span.parent is None else _span_context(span.parent, is_remote=True),
            resource=self._resource,
            attributes=attributes,
            links=tuple(Link(_span_context(link, is_remote=True)) for link in span.links),
            kind=_KINDS[span.kind],
            status=Status(StatusCode.ERROR, span.error) if span.error else Status(StatusCode.UNSET),
            start_time=_ns(span.start_ms),
            # The wall clock may have been set back; collectors refuse spans that end before they start.
            end_time=_ns(max(span.start_ms, span.end_ms)),
            instrumentation_scope=self._scope,
        )


class _QuietExporter(SpanExporter):
    """Says once that spans are lost, and once that they arrive again, however the one below complains."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._closed = False
        self._lost_before = 0
        self._failing = False
        self.sent = 0
        self.lost = 0
        # The SDK logs each refused batch and each dropped span, and repeats itself for as long as it takes.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Hand a batch on."""
        try:
            result = self._exporter.export(spans)
        except Exception as error:  # noqa: BLE001 - whatever an exporter raises, its thread must live on.
            result = SpanExportResult.FAILURE
            reason = f" ({type(error).__name__})"
        else:
            reason = ""
        if result is SpanExportResult.SUCCESS:
            self.sent += len(spans)
            self._recovered()
        else:
            self.lost += len(spans)
            self._failed(reason)
        return result

    def shutdown(self) -> None:
        """Close the exporter below; called again, do nothing."""
        if not self._closed:
            self._closed = True
            self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Ask the exporter below."""
        return self._exporter.force_flush(timeout_millis)

    def _failed(self, reason: str) -> None:
        if not self._failing:
            self._failing = True
            log.warning(
                "Traces cannot be sent and are dropped%s; is the collector of telemetry.otlp_endpoint up?",
                reason,
            )

    def _recovered(self) -> None:
        if self._failing:
            self._failing = False
            log.warning("Traces are sent again; %d spans were lost.", self.lost - self._lost_before)
            self._lost_before = self.lost


def _otlp_exporter(base: str) -> SpanExporter:
    """To `<base>/v1/traces`; headers and certificates are read from OTEL_EXPORTER_OTLP_* by the SDK."""
    session = requests.Session()
    # The collector stands beside us: a proxy of the environment is for the world outside.
    session.trust_env = False
    return OTLPSpanExporter(
        endpoint=base.rstrip("/") + "/v1/traces", timeout=_SEND_TIMEOUT_S, session=session
    )


def _span_context(place: TraceParent, *, is_remote: bool) -> SpanContext:
    return SpanContext(int(place.trace_id, 16), int(place.span_id, 16), is_remote, _FLAGS[place.sampled])


def _ns(ms: float) -> int:
    # A float of today's milliseconds is exact to a quarter of a microsecond, no further.
    return round(ms * 1_000) * 1_000
