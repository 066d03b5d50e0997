"""Which spans an event leaves behind: triage's one, judge's two. Told afterwards, of sampled events."""

from __future__ import annotations

from streams import conventions as names
from streams.core.judging import Case
from streams.core.traceparent import TraceParent, parse, sampled_header
from streams.ports import Clock, Headers
from streams.tracing import SpanRecord, Tracer


def sampled(headers: Headers) -> TraceParent | None:
    """A record's place in its trace, if that is being recorded."""
    value = sampled_header(headers)
    return None if value is None else parse(value)


def triaged(
    tracer: Tracer, parent: TraceParent, case: Case, *, action: str, began_ms: float, clock: Clock
) -> TraceParent:
    """Tell the fast path's span; what is written next belongs below it."""
    now_ms = clock.wall_ms()
    attributes = _of(case)
    if action:
        attributes |= {names.ACTION: action, names.DECIDED_BY: "rule"}
    return tracer.record(
        SpanRecord(
            name=names.SPAN_TRIAGE,
            start_ms=now_ms - (clock.now_ms() - began_ms),
            end_ms=now_ms,
            parent=parent,
            kind="consumer",
            attributes={**attributes, names.STAGE: "triage"},
        )
    )


def judged(  # noqa: PLR0913  Four moments on one clock, and what happened between them.
    tracer: Tracer,
    parent: TraceParent,
    case: Case,
    *,
    arrived_ms: float,
    dispatched_ms: float,
    answered_ms: float,
    clock: Clock,
    model: str,
    node: str,
    chat: TraceParent,
) -> None:
    """Tell the wait in the lane and the request to the model."""
    to_wall_ms = clock.wall_ms() - clock.now_ms()
    attributes = {**_of(case), names.STAGE: "judge", names.NODE: node}
    tracer.record(
        SpanRecord(
            name=names.SPAN_DISPATCH_WAIT,
            start_ms=to_wall_ms + arrived_ms,
            end_ms=to_wall_ms + dispatched_ms,
            parent=parent,
            attributes=attributes,
        )
    )
    tracer.record(
        SpanRecord(
            name=names.span_chat(model),
            start_ms=to_wall_ms + dispatched_ms,
            end_ms=to_wall_ms + answered_ms,
            parent=parent,
            context=chat,
            kind="client",
            attributes={
                **attributes,
                names.GEN_AI_OPERATION_NAME: names.GEN_AI_OPERATION_CHAT,
                names.GEN_AI_REQUEST_MODEL: model,
            },
        )
    )


def _of(case: Case) -> dict[str, str | bool | int | float]:
    """What every span of an event says of it: nothing of its content, its author or its id."""
    return {
        names.PRIORITY: case.priority,
        names.KIND: case.event.kind,
        names.POLICY_ID: case.policy.id,
        names.POLICY_VERSION: case.policy.version,
        names.MESSAGING_KAFKA_OFFSET: case.source.offset,
    }
